"""A real near-nadir picture of 144 vehicles with places of their own: pixels, reference places, and the drone's log."""

import csv

import numpy as np

from dronetrack import geodesy
from dronetrack.sensing import CameraErrors
from dronetrack.telemetry import Attitude, Camera, Clock, Gimbal, ImageTarget, Position, Telemetry
from dronetrack.terrain import Terrain

START_US = 1_665_132_733_500_000
GROUND = Terrain.constant(5.0, std_m=0.3)
WIDTH, HEIGHT = 3840.0, 2160.0
FULL_FRAME_MM = 36.0
# Boxes of a detector are good to a few pixels; the picture hovers.
ERRORS = CameraErrors(
    pixel_std=3.0 / WIDTH, pointing_std_deg=0.02, heading_std_deg=0.05, boresight_std_deg=0.05, timing_std_s=1e-3
)


class Songdo:
    """Rows: frame, vehicle, pixel (n, 2), place (n, 3) ECEF."""

    def __init__(self, folder):
        with (folder / "U_video_cut_georef_tracks.csv").open() as file:
            known = {
                (int(row["Frame_Number"]), int(row["Vehicle_ID"])): (float(row["Latitude"]), float(row["Longitude"]))
                for row in csv.DictReader(file)
            }
        boxes = np.loadtxt(folder / "U_video_cut_pixel_tracks.txt", delimiter=",", usecols=(0, 1, 2, 3))
        boxes = boxes[[(int(frame), int(vehicle)) in known for frame, vehicle in boxes[:, :2]]]
        boxes = boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]
        self.frame, self.vehicle = boxes[:, 0].astype(int), boxes[:, 1].astype(int)
        self.pixel = boxes[:, 2:]
        lat, lon = np.array([known[pair] for pair in zip(self.frame.tolist(), self.vehicle.tolist(), strict=True)]).T
        self.place = geodesy.geodetic_to_ecef(lat, lon, GROUND.ground_hae_m(lat, lon))
        with (folder / "U_video_cut_drone_telemetry.csv").open() as file:
            self.drone = next(csv.DictReader(file))

    def time_us(self, frame):
        return START_US + np.rint(np.asarray(frame) * 1e6 / 30.0).astype(np.int64)

    def log(self, rows):
        """The drone's log with some of the image points; it hovers, looks down, and has no compass."""
        lat, lon = float(self.drone["latitude"]), float(self.drone["longitude"])
        height = float(GROUND.ground_hae_m([lat], [lon])[0]) + float(self.drone["rel_alt"])
        half = 0.5 * FULL_FRAME_MM / float(self.drone["focal_len"])
        frames = self.time_us(np.arange(-1, 152))
        n = len(frames)
        one = np.full(n, 1.0)
        down = [np.cos(np.pi / 4), 0.0, -np.sin(np.pi / 4), 0.0]
        x, y = self.pixel[rows].T
        times = self.time_us(self.frame[rows])
        return Telemetry(
            1,
            "mavic",
            position=Position(frames, lat * one, lon * one, height * one, np.zeros((n, 3)), one, one),
            attitude=Attitude(frames, np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))),
            gimbal=Gimbal(frames, np.tile(down, (n, 1)), np.full(n, 44, dtype=np.int32), np.full(n, np.nan)),
            camera=Camera(
                frames[:1],
                np.array([2.0 * np.arctan(half)]),
                np.array([2.0 * np.arctan(half * HEIGHT / WIDTH)]),
                np.array([WIDTH]),
                np.array([HEIGHT]),
            ),
            image_target=ImageTarget(times, times, np.ones(len(times), np.int16), x / WIDTH, y / HEIGHT),
            clock=Clock(source="table", std_s=0.0),
        )
