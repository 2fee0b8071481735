"""A year of taxi rides out of a MongoDB dump: load those inside one square of the city, plot them by hour.

Usage: python examples/taxi_rides.py [--rides 1000000] [--folder examples/out]

The rides are synthetic, and written once as mongodump writes a collection. Then
the same question is answered twice: with stoop.bson, a million rows at a time,
and with PyMongo's dictionaries. Both answers have to agree; their times are in
the picture, `taxi_rides.png`. Needs pip install 'stoop[bson]' matplotlib.
"""

import argparse
import time
from pathlib import Path

import bson
import numpy as np

import stoop.bson as sb

PLACE = [("time", "M8[ms]"), ("lon", "f8"), ("lat", "f8")]
RIDE = np.dtype(
    [
        ("_id", "V12"),
        ("pickup", PLACE),
        ("dropoff", PLACE),
        ("passengers", "i4"),
        ("fare", "f8"),
        ("tip", "f8"),
        ("payment", "U6"),
    ]
)
# What the question needs of a ride; the rest is skipped in the file.
WANTED = np.dtype([("pickup", PLACE), ("dropoff", [("lon", "f8"), ("lat", "f8")]), ("fare", "f8")])

# The middle of the city in degrees, and the square that we ask about.
CITY = (-73.98, 40.75)
SQUARE = {"lon": (-74.0, -73.97), "lat": (40.735, 40.76)}

# Rides an hour of the day, relative to each other: people sleep, commute and go out.
HOURS = np.array(
    [3, 2, 1.3, 0.9, 0.8, 1, 2, 3.6, 4.5, 4.6, 4.5, 4.7, 5, 5, 5.2, 5.1, 4.6, 5.4, 6.5, 6.6, 6, 5.8, 5.5, 4.4]
)

BLUE, ORANGE, GREY = "#1f6fb2", "#c0632a", "#55606e"


def make_rides(first, count, total, rng):
    """Rides `first` to `first + count` of a year's `total`, in the order of their starts."""
    rides = np.zeros(count, RIDE)
    day = (np.arange(first, first + count) * 365 // total).astype("i8")
    second = rng.choice(24, count, p=HOURS / HOURS.sum()) * 3600 + rng.integers(0, 3600, count)
    start = np.datetime64("2024-01-01", "ms") + (day * 86_400_000 + second * 1000).astype("m8[ms]")
    rides["pickup"]["time"] = start
    rides["pickup"]["lon"] = rng.normal(CITY[0], 0.03, count).round(6)
    rides["pickup"]["lat"] = rng.normal(CITY[1], 0.03, count).round(6)
    rides["dropoff"]["lon"] = (rides["pickup"]["lon"] + rng.normal(0, 0.02, count)).round(6)
    rides["dropoff"]["lat"] = (rides["pickup"]["lat"] + rng.normal(0, 0.02, count)).round(6)
    degrees = np.hypot(
        rides["dropoff"]["lon"] - rides["pickup"]["lon"], rides["dropoff"]["lat"] - rides["pickup"]["lat"]
    )
    minutes = 4 + degrees * 400 * rng.uniform(0.8, 1.4, count)
    rides["dropoff"]["time"] = start + (minutes * 60_000).astype("m8[ms]")
    rides["passengers"] = rng.choice([1, 2, 3, 4], count, p=[0.7, 0.17, 0.07, 0.06])
    hours = second // 3600
    surcharge = np.where((hours >= 20) | (hours < 6), 1.0, 0.0) + np.where((hours >= 16) & (hours < 20), 2.5, 0.0)
    rides["fare"] = (3 + degrees * 280 + minutes * 0.3 + surcharge).round(2)
    rides["tip"] = (rides["fare"] * rng.choice([0, 0.1, 0.2], count)).round(2)
    rides["payment"] = rng.choice(["card", "cash", "mobile"], count, p=[0.6, 0.25, 0.15])
    identities = np.zeros(count, [("time", ">u4"), ("rest", ">u8")])
    identities["time"] = start.astype("M8[s]").astype("u4")
    identities["rest"] = np.arange(first, first + count)
    rides["_id"] = identities.view("V12")
    return rides


def write_dump(path, total):
    """Write the rides as mongodump would, a part of them at a time."""
    rng = np.random.default_rng(2024)
    part = path.with_suffix(".part")
    step = 250_000
    with open(part, "wb") as file:
        for first in range(0, total, step):
            file.write(sb.from_ndarray(make_rides(first, min(step, total - first), total, rng)))
    part.replace(path)


def inside(place):
    """Which places (arrays of lon and lat, or two numbers) are in the square."""
    lon, lat = place["lon"], place["lat"]
    west, east = SQUARE["lon"]
    south, north = SQUARE["lat"]
    return (west <= lon) & (lon < east) & (south <= lat) & (lat < north)


def hours_as_arrays(path):
    """Rides by hour and their mean fare, with stoop.bson."""
    rides, fares = np.zeros(24), np.zeros(24)
    for array in sb.iter_ndarrays(path, WANTED, rows=1_000_000):
        chosen = array[inside(array["pickup"]) & inside(array["dropoff"])]
        hour = (chosen["pickup"]["time"] - chosen["pickup"]["time"].astype("M8[D]")).astype("m8[h]").astype(int)
        rides += np.bincount(hour, minlength=24)
        fares += np.bincount(hour, chosen["fare"], minlength=24)
    return rides, fares / np.maximum(rides, 1)


def hours_as_dictionaries(path):
    """The same with PyMongo's dictionaries."""
    rides, fares = np.zeros(24), np.zeros(24)
    with open(path, "rb") as file:
        for ride in bson.decode_file_iter(file):
            if inside(ride["pickup"]) and inside(ride["dropoff"]):
                hour = ride["pickup"]["time"].hour
                rides[hour] += 1
                fares[hour] += ride["fare"]
    return rides, fares / np.maximum(rides, 1)


def timed(way, path):
    start = time.perf_counter()
    answer = way(path)
    return answer, time.perf_counter() - start


def draw(file, rides, fares, times, total, size):
    """The picture: rides by hour with their fares, and the two times."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (day, bars) = pyplot.subplots(2, 1, figsize=(9, 6.4), height_ratios=[4, 1], layout="constrained")
    figure.suptitle(f"{rides.sum():,.0f} of {total:,} rides start and end in one square of the city", fontsize=14)
    day.bar(range(24), rides, color=BLUE, width=0.8)
    day.set_xticks(range(0, 24, 2), [f"{hour}:00" for hour in range(0, 24, 2)])
    day.set_xlabel("hour of the pick-up (UTC)")
    day.set_ylabel("rides in the year", color=BLUE)
    mean = day.twinx()
    mean.plot(range(24), fares, color=ORANGE, marker="o", markersize=4)
    mean.set_ylim(0, max(fares.max() * 1.5, 1))
    mean.set_ylabel("mean fare", color=ORANGE)
    names = list(times)
    bars.barh(names, list(times.values()), color=[BLUE, GREY])
    bars.invert_yaxis()
    bars.set_xlabel(f"seconds from the file ({size / 1e6:,.0f} MB of BSON) to the answer")
    longest = max(times.values())
    for row, seconds in enumerate(times.values()):
        bars.text(seconds + longest * 0.01, row, f"{seconds:.2f} s", va="center")
    bars.set_xlim(0, longest * 1.12)
    for axes in (day, mean, bars):
        axes.spines[["top"]].set_visible(False)
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description="A year of taxi rides, out of a MongoDB dump.")
    parser.add_argument("--rides", type=int, default=1_000_000, help="how many (1,000,000; a real year has 50,000,000)")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent / "out", help="for the files")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    dump = options.folder / f"rides-{options.rides}.bson"
    if not dump.exists():
        start = time.perf_counter()
        write_dump(dump, options.rides)
        print(f"wrote {dump} ({dump.stat().st_size / 1e6:,.0f} MB) in {time.perf_counter() - start:.1f} s")

    (rides, fares), ours = timed(hours_as_arrays, dump)
    print(f"stoop.bson: {ours:.2f} s")
    (plain_rides, plain_fares), theirs = timed(hours_as_dictionaries, dump)
    print(f"PyMongo:    {theirs:.2f} s, {theirs / ours:.1f} times as long")
    if not (np.array_equal(rides, plain_rides) and np.allclose(fares, plain_fares)):
        raise SystemExit("the two ways disagree")
    for hour in range(24):
        print(
            f"{hour:2}:00  {rides[hour]:8,.0f} rides  {fares[hour]:6.2f}  {'#' * round(40 * rides[hour] / rides.max())}"
        )
    picture = options.folder / "taxi_rides.png"
    draw(picture, rides, fares, {"stoop.bson": ours, "PyMongo": theirs}, options.rides, dump.stat().st_size)
    print(f"written: {picture}")


if __name__ == "__main__":
    main()
