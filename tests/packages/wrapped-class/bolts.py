class Vis:
    """A screw, known by its designation."""

    AREAS = {"M8": 36.6, "M10": 58.0, "M12": 84.3}

    def __init__(self, designation: str):
        self.area = self.AREAS[designation]

    def compute_stress(self, force: float) -> float:
        return force / self.area


def stress_for(designation: str, force: float) -> float:
    return Vis(designation).compute_stress(force)
