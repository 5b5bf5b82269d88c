"""How does a package look on the way? CBOR in its deterministic encoding, columns as typed arrays.

CBOR (RFC 8949, section 4.2) rather than JSON: numbers travel bit for bit without a detour over decimals, columns as
they lie in memory (RFC 8746), and one rule says which bytes a value has. Nothing is compressed, for two compressors
give different bytes, and a small message could become a large one.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NoReturn, get_args, get_origin

import cbor2
import numpy as np
from numpy.typing import NDArray

from dronetrack.border import Crossing
from dronetrack.errors import DronetrackError, FormatError, InputError
from dronetrack.handover.history import Coded, coded, decoded
from dronetrack.handover.package import Contribution, Package, origin_of
from dronetrack.measurements import Sensor
from dronetrack.motion import Mixture, Motion
from dronetrack.registration import Registration
from dronetrack.tracker.belief import HEARD, LEARNT, MOST_MODELS, Belief

VERSION = 2

# Tags of typed arrays, little-endian (RFC 8746, section 2.1).
_TAGS = {"i1": 72, "i2": 77, "i4": 78, "i8": 79, "f2": 84, "f4": 85, "f8": 86}
_DEEPEST = 8
# Tags that cbor2 would make objects of; a package has none, and a number such as 2**(2**60) is better not worked out.
_MEANINGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_MODELS = {one.__name__: one for one in get_args(Motion)}
_CONSTANTS = ("yaw_deg", "pitch_deg", "heading_deg", "latency_s", "scale", "lag_s")
_DEVIATIONS = ("yaw_std_deg", "pitch_std_deg", "heading_std_deg", "latency_std_s", "scale_std", "lag_std_s")
_HEAD = ("operation", "issuer", "recipient", "serial", "issued_us", "valid_until_us", "legal_basis", "journal_sequence")
_HISTORY = (("i8",), ("i4", 3), ("i4", 3), ("f2", 21), ("f4",), ("i1",), ("i2",))
_DIGESTS = ("journal_digest", "recipient_key")


def encoded(package: Package) -> bytes:
    """Return the one encoding of a package.

    Raises
    ------
    InputError
        If a name in it cannot be written as UTF-8.
    """
    tree = {
        "version": VERSION,
        **{name: getattr(package, name) for name in _HEAD},
        **{name: bytes.fromhex(getattr(package, name)) for name in _DIGESTS},
        "belief": _belief_out(package.belief),
        "history": [_array(part) for part in coded(package.history, origin_of(package.belief))],
        "registrations": [_registration_out(one) for one in package.registrations],
        "contributions": [_record_out(one) for one in package.contributions],
        "crossing": None if package.crossing is None else _crossing_out(package.crossing),
    }
    try:
        return cbor2.dumps(tree, canonical=True)
    except (cbor2.CBOREncodeError, UnicodeEncodeError) as error:
        raise InputError(f"the package cannot be written ({error}).") from error


def decoded_package(data: bytes) -> Package:
    """Read what `encoded` wrote, and nothing else.

    Raises
    ------
    FormatError
        If the bytes are of another version, contradict themselves, or are not the one encoding of what they say.
    """
    try:
        tree = cbor2.loads(data, max_depth=_DEEPEST, semantic_decoders=dict.fromkeys(_MEANINGS, _refuse))
        version = tree["version"]
    except (cbor2.CBORError, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"not a package: its content cannot be read ({error}).") from error
    if version != VERSION:
        raise FormatError(f"unsupported version: the package is of version {version!r}, and this reads {VERSION}.")
    try:
        package = _package_in(tree)
        again = encoded(package)
    except (DronetrackError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FormatError(f"contradictory: the package cannot be what it says: {error}") from error
    if again != data:
        raise FormatError("not canonical: the package says the same as another sequence of bytes; it is not accepted.")
    return package


def _package_in(tree: Mapping[str, Any]) -> Package:
    belief = _belief_in(tree["belief"])
    history = Coded(
        *[_column(part, kind, -1, *of) for part, (kind, *of) in zip(tree["history"], _HISTORY, strict=True)]
    )
    return Package(
        **{name: tree[name] for name in _HEAD},
        **{name: tree[name].hex() for name in _DIGESTS},
        belief=belief,
        history=decoded(history, origin_of(belief), belief.track_id),
        registrations=tuple(_registration_in(one) for one in tree["registrations"]),
        contributions=tuple(_record_in(Contribution, one) for one in tree["contributions"]),
        crossing=None if tree["crossing"] is None else _crossing_in(tree["crossing"]),
    )


def _belief_out(belief: Belief) -> dict[str, Any]:
    upper = np.triu_indices(belief.cov.shape[1])
    return {
        "time_us": belief.time_us,
        "track_id": belief.track_id,
        "motion": _motion_out(belief.motion),
        "sensors": [_record_out(one) for one in belief.sensors],
        "mean": _array(belief.mean),
        "cov": _array(belief.cov[:, *upper]),
        "weight": _array(belief.weight),
        "shares": _array(belief.shares.astype(np.int8)),
        "ties": _array(belief.ties),
        "learnt": _array(belief.learnt),
        "heard_us": _array(belief.heard_us),
        "clock": _array(belief.clock),
    }


def _belief_in(tree: Mapping[str, Any]) -> Belief:
    motion = _motion_in(tree["motion"])
    sensors = tuple(_record_in(Sensor, one) for one in tree["sensors"])
    m = len(motion.models) if isinstance(motion, Mixture) else 1
    d, s = motion.state_size, len(sensors)
    upper = np.triu_indices(d)
    cov = np.empty((m, d, d))
    cov[:, *upper] = _column(tree["cov"], "f8", m, len(upper[0]))
    cov[:, *upper[::-1]] = cov[:, *upper]
    return Belief(
        time_us=_integer(tree["time_us"]),
        track_id=_integer(tree["track_id"]),
        motion=motion,
        sensors=sensors,
        mean=_column(tree["mean"], "f8", m, d),
        cov=cov,
        weight=_column(tree["weight"], "f8", m),
        shares=_column(tree["shares"], "i1", s).astype(np.bool_),
        ties=_column(tree["ties"], "f8", m, d, -1),
        learnt=_column(tree["learnt"], "f8", s, LEARNT),
        heard_us=_column(tree["heard_us"], "i8", s, HEARD),
        clock=_column(tree["clock"], "i8", -1),
    )


def _motion_out(motion: Motion | Mixture) -> dict[str, Any]:
    if not isinstance(motion, Mixture):
        return {"model": type(motion).__name__, **_record_out(motion)}
    plain = {one.name: getattr(motion, one.name) for one in fields(motion)}
    return plain | {"models": [_motion_out(one) for one in motion.models]}


def _motion_in(tree: Mapping[str, Any]) -> Motion | Mixture:
    if "models" not in tree:
        return _record_in(_MODELS[tree["model"]], {name: value for name, value in tree.items() if name != "model"})
    if len(tree["models"]) > MOST_MODELS:
        raise InputError(f"a mixture of more than {MOST_MODELS} models is not accepted.")
    models = [_record_in(_MODELS[one.pop("model")], one) for one in tree["models"]]
    return Mixture(**{**tree, "models": models})


def _registration_out(one: Registration) -> dict[str, Any]:
    return {
        "drone": one.drone,
        "constants": _array(np.array([getattr(one, name) for name in _CONSTANTS])),
        "deviations": _array(np.array([getattr(one, name) for name in _DEVIATIONS])),
        "cov": _array(one.cov),
        "gimbal_frame": one.gimbal_frame,
        "frame_probability": {name: float(value) for name, value in one.frame_probability.items()},
        "site_enu_m": _array(np.asarray(one.site_enu_m)),
        "site_std_m": float(one.site_std_m),
    }


def _registration_in(tree: Mapping[str, Any]) -> Registration:
    constants, deviations = _column(tree["constants"], "f8", 6), _column(tree["deviations"], "f8", 6)
    return Registration(
        drone=tree["drone"],
        **dict(zip(_CONSTANTS + _DEVIATIONS, [*constants.tolist(), *deviations.tolist()], strict=True)),
        cov=_column(tree["cov"], "f8", 5, 5),
        gimbal_frame=tree["gimbal_frame"],
        frame_probability=tree["frame_probability"],
        site_enu_m=_column(tree["site_enu_m"], "f8", 3),
        site_std_m=tree["site_std_m"],
    )


def _crossing_out(one: Crossing) -> dict[str, Any]:
    return {name: _plain(kind, getattr(one, name)) for name, kind in _types(Crossing).items()}


def _crossing_in(tree: Mapping[str, Any]) -> Crossing:
    types = _types(Crossing)
    return Crossing(**{name: _typed(name, types[name], value) for name, value in tree.items()})


def _plain(kind: Any, value: Any) -> Any:  # noqa: ANN401 - a type, and one of it
    """Write a moment as microseconds, two of them as a list, and anything else as what it should be."""
    if kind is np.datetime64:
        return int(value.astype("datetime64[us]").astype(np.int64))
    return [_plain(np.datetime64, one) for one in value] if get_origin(kind) is tuple else kind(value)


def _typed(name: str, kind: Any, value: Any) -> Any:  # noqa: ANN401 - a type, and what came for it
    """Read what `_plain` wrote."""
    if kind is np.datetime64:
        return np.datetime64(_integer(value), "us")
    if get_origin(kind) is tuple:
        return tuple(_typed(name, np.datetime64, one) for _, one in zip(get_args(kind), value, strict=True))
    _check_type(name, value, kind)
    return value


def _record_out(one: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass of texts and numbers
    """Write what of a small record is not as usual."""
    values = {name: kind(getattr(one, name)) for name, kind in _types(type(one)).items()}
    return {part.name: values[part.name] for part in fields(one) if values[part.name] != part.default}


def _record_in(kind: type, tree: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of that kind
    """Make a small record of the values of its map, each of the type it should have."""
    for name, value in tree.items():
        _check_type(name, value, _types(kind)[name])
    return kind(**tree)


def _types(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return {part.name: part.type for part in fields(kind)}


def _array(values: NDArray) -> cbor2.CBORTag:
    """Write a column, row by row, as a typed array."""
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    return cbor2.CBORTag(_TAGS[kind], values.astype(f"<{kind}").tobytes())


def _column(part: Any, kind: str, *shape: int) -> NDArray:  # noqa: ANN401 - whatever came
    """Read a typed array of this kind and shape."""
    if not (isinstance(part, cbor2.CBORTag) and part.tag == _TAGS[kind] and type(part.value) is bytes):
        raise InputError(f"a typed array with tag {_TAGS[kind]} (RFC 8746) is needed; got {part!r:.80}.")
    values = np.frombuffer(part.value, f"<{kind}").astype(kind)
    if -1 in shape and 0 in shape:
        shape = tuple(max(size, 0) for size in shape)
    return values.reshape(shape)


def _integer(value: object) -> int:
    _check_type("a time or identity", value, int)
    return int(np.int64(value))  # pyright: ignore[reportArgumentType]


def _check_type(name: str, value: object, kind: Any) -> None:  # noqa: ANN401 - a type
    if type(value) is not kind:
        raise InputError(f"{name} must be {kind.__name__}; got {value!r:.80}.")


def _refuse(*_: object) -> NoReturn:
    raise ValueError("it holds a tag that no package has")
