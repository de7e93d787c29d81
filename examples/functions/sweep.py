"""Many calls of one function, some at once: how far a hammer flies, by the angle of release.

    python sweep.py

Each call is a fresh, isolated process; a hammer that is thrown into the net costs only its own result.
"""

import kedge

HEIGHT = 1.8  # m, of the hand
NET = 35.0  # degrees; flatter throws end in the cage


@kedge.function(cpu=1, memory=128)
def flight(angle: float, speed: float = 28.0) -> float:
    """Distance in metres of a throw with drag, by steps of a millisecond.

    Args:
        angle: Of release, in degrees.
        speed: Of release, in m/s.
    """
    from math import cos, hypot, radians, sin

    if angle < NET:
        raise ValueError(f"thrown into the net, at {angle:g} degrees")
    x, y = 0.0, HEIGHT
    u, v = speed * cos(radians(angle)), speed * sin(radians(angle))
    drag = 0.5 * 1.2 * 0.0095 * 0.7 / 7.26  # air's density, area, coefficient, mass
    step = 1e-3
    while y > 0:
        slow = drag * hypot(u, v)
        u, v = u - slow * u * step, v - (9.81 + slow * v) * step
        x, y = x + u * step, y + v * step
    return x


if __name__ == "__main__":
    angles = [30.0, 36.0, 40.0, 44.0, 48.0]
    for angle, found in zip(angles, flight.map(angles, return_exceptions=True), strict=True):
        print(f"{angle:g} degrees: {found if isinstance(found, Exception) else f'{found:.1f} m'}")
