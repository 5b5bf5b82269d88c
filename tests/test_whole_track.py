"""Smoothing of whole tracks with the sensors' errors estimated: against one dense least-squares problem, and truth."""

import numpy as np
import pytest
from flights import GROUND_MSL_M, LAT, LON, START_US, Errors, fly, to_ecef, weave
from scipy.stats import chi2

from dronetrack import geodesy
from dronetrack.errors import InputError
from dronetrack.filtering import kernel_rows, track
from dronetrack.kernels.motion import turned_one, up_one
from dronetrack.measurements import LINE_OF_SIGHT, POSITION, Sensor, measurements_of, merge
from dronetrack.motion import ConstantVelocity, discretise
from dronetrack.sensing import CameraErrors, ground_heights, sightings
from dronetrack.smoothing import smooth, smooth_sequences

MOTION = ConstantVelocity()


def full(variance, n):
    return np.broadcast_to(np.asarray(variance) * np.eye(3), (n, 3, 3))


def two_sensors(rng, n=60):
    """One sensor with fresh errors, and one whose error of tens of metres stays for a minute, between its times."""
    place = to_ecef(np.zeros((1, 3)))[0]
    time_us = START_US + np.arange(n) * 500_000
    way = place + np.outer((time_us - START_US) * 1e-6, [5.0, 3.0, -4.0])
    fresh = measurements_of(time_us, POSITION, way + rng.normal(0, 3.0, (n, 3)), full(9.0, n), Sensor("a"))
    later = time_us[::2] + 200_000
    way = place + np.outer((later - START_US) * 1e-6, [5.0, 3.0, -4.0])
    stays = measurements_of(
        later, POSITION, way + np.array([15.0, -25.0, 5.0]) + rng.normal(0, 2.0, (n // 2, 3)), full(4.0, n // 2),
        Sensor("b", shared_time_s=60.0, starts_tracks=False), site_cov=full([400.0, 900.0, 100.0], n // 2),
    )  # fmt: skip
    return merge(fresh, stays)


def dense(table, times, linear_about):
    """Solve for all states and shared errors at once: (T, 9) relative to the first place, and their covariance."""
    place, d = linear_about[0, :3], 9
    information, right = np.zeros((len(times) * d,) * 2), np.zeros(len(times) * d)
    up = up_one(linear_about[0])
    prior = np.eye(d)
    prior[:3, :3] *= 1e6
    for i in range(3):
        for j in range(3):
            prior[3 + i, 3 + j] = turned_one(15.0**2, 0.5**2, up, i, j)
    information[:d, :d] += np.linalg.inv(prior)
    for k in range(1, len(times)):
        step_s = (times[k] - times[k - 1]) * 1e-6
        move, noise = np.eye(d), np.eye(d)
        f, q = discretise(MOTION, linear_about[k - 1 : k, :3], [step_s])
        move[:6, :6], noise[:6, :6] = f[0], q[0]
        stay = np.exp(-step_s / 60.0)
        move[6:, 6:], noise[6:, 6:] = stay * np.eye(3), (1.0 - stay**2) * np.eye(3)
        both = np.hstack([-move, np.eye(d)])
        mine = slice((k - 1) * d, (k + 1) * d)
        information[mine, mine] += both.T @ np.linalg.inv(noise) @ both
    root = kernel_rows(table).root
    for i in range(len(table)):
        k = int(np.searchsorted(times, table.time_us[i]))
        seen = np.hstack([np.eye(3), np.zeros((3, 3)), root[i]])
        weight = np.linalg.inv(table.cov[i])
        mine = slice(k * d, (k + 1) * d)
        information[mine, mine] += seen.T @ weight @ seen
        right[mine] += seen.T @ weight @ (table.z[i] - place)
    cov = np.linalg.inv(information)
    return (cov @ right).reshape(-1, d), cov


def test_it_is_the_least_squares_solution_of_the_whole_table(rng):
    table = two_sensors(rng)
    filtered = track(table, motion=ConstantVelocity(), learn_noise=False, gate_probability=0.9999999)
    smoothed = smooth(filtered, gate_probability=0.9999999)
    solution, cov = dense(table, filtered.time_us, filtered.state)
    np.testing.assert_allclose(smoothed.state[:, :3] - filtered.state[0, :3], solution[:, :3], atol=1e-5)
    np.testing.assert_allclose(smoothed.state[:, 3:], solution[:, 3:6], atol=1e-5)
    for k in range(0, len(filtered), 7):
        np.testing.assert_allclose(smoothed.cov[k], cov[k * 9 : k * 9 + 6, k * 9 : k * 9 + 6], rtol=1e-4, atol=1e-6)


def test_without_shared_errors_it_is_the_sequence_smoother(rng):
    table = two_sensors(rng).of("a")
    filtered = track(table, motion=ConstantVelocity(), learn_noise=False, gate_probability=0.9999999, coast_step_s=10.0)
    smoothed = smooth(filtered, gate_probability=0.9999999)
    state, cov = smooth_sequences(MOTION, filtered.time_us[None], filtered.state[None], filtered.cov[None])
    # They begin from another doubt about the first place: a kilometre here, ten standard deviations in the filter.
    np.testing.assert_allclose(smoothed.state[5:], state[0, 5:], atol=0.02)
    np.testing.assert_allclose(smoothed.cov[5:], cov[0, 5:], rtol=0.01, atol=1e-3)


def test_covariances_stay_symmetric_and_positive(rng):
    smoothed = smooth(track(two_sensors(rng, 300)))
    np.testing.assert_array_equal(smoothed.cov, smoothed.cov.transpose(0, 2, 1))
    assert np.linalg.eigvalsh(smoothed.cov).min() > 0.0


def test_what_came_later_makes_the_track_better_and_no_less_honest(rng):
    """Every error of a camera at once, drawn as its budget states; sixty flights know the coverage to 3 percent."""
    budget = CameraErrors(
        position_time_s=1e5, heading_std_deg=0.0, boresight_time_s=1e5, compass_std_deg=0.75, boresight_std_deg=0.3
    )
    drawn = Errors(
        pixel=budget.pixel_std, pointing_deg=budget.pointing_std_deg, heading_deg=0.75, boresight_deg=0.3, site_m=1.5,
        latency_s=0.25, jitter_s=budget.timing_std_s,
    )  # fmt: skip
    before, after, held = [], [], []
    for _ in range(60):
        log, _, _ = fly(60.0, errors=drawn, rng=rng)
        filtered = track(sightings(log, terrain=GROUND_MSL_M, latency_s=0.25, errors=budget))
        smoothed = smooth(filtered)
        truth = to_ecef(weave((filtered.time_us - START_US) * 1e-6))
        n = len(filtered)
        for one, out in ((filtered, before), (smoothed, after)):
            off = geodesy.ecef_vectors_to_enu(one.state[:, :3] - truth, np.full(n, LAT), np.full(n, LON))[:, :2]
            out.append(np.mean(np.sum(off**2, axis=1)))
        squared = np.einsum("ni,nij,nj->n", off, np.linalg.inv(smoothed.pos_cov_enu_m2[:, :2, :2]), off)
        held.append(np.mean(squared < chi2.ppf(0.95, 2)))
    assert np.mean(after) < np.mean(before)  # biases that stay for the whole flight bound both
    assert 0.86 < np.mean(held) < 0.999


def test_rows_from_another_car_are_left_out_though_the_filter_took_them(rng):
    log, image_s, _ = fly(60.0, errors=Errors(pixel=0.003), rng=rng)
    rows = sightings(log, latency_s=0.0)
    wrong = (image_s >= 30.0) & (image_s < 31.0)
    sight = to_ecef(weave(image_s) + np.array([0.0, 12.0, 0.0])) - rows.site_ecef_m
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    lines = measurements_of(
        rows.time_us, LINE_OF_SIGHT, np.where(wrong[:, None], sight, rows.z), rows.cov, rows.sensors[0],
        site_ecef_m=rows.site_ecef_m, site_cov=rows.site_cov,
    )  # fmt: skip
    smoothed = smooth(track(merge(lines, ground_heights(lines, GROUND_MSL_M))))
    told = smoothed.stats["smoothed"]["sensors"]["D camera"]
    assert wrong.sum() <= told["left_out"] <= wrong.sum() + 6
    truth = to_ecef(weave((smoothed.time_us - START_US) * 1e-6))
    assert np.linalg.norm(smoothed.state[:, :3] - truth, axis=1)[50:].max() < 3.0


def test_a_table_in_other_words_must_hold_the_same_rows(rng):
    filtered = track(two_sensors(rng))
    with pytest.raises(InputError, match="same rows"):
        smooth(filtered, measurements=two_sensors(rng, 40))


def test_a_part_of_a_track_cannot_be_smoothed(rng):
    with pytest.raises(InputError, match="does not know what it was made of"):
        smooth(track(two_sensors(rng)).take(slice(0, 10)))


def test_nothing_is_smoothed_to_nothing():
    assert len(smooth(track(merge()))) == 0
