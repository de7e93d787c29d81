"""A function with modules and data of its own: `copy` ships the folder `steel` beside this file.

    python profiles.py

In its runtime the folder is at the same place, so it is imported and its table is read as here.
"""

import kedge


@kedge.function(copy=["./steel/"])
def lightest(moment: float, grade: str = "S355") -> dict[str, float | str]:
    """The lightest profile that bears a bending moment elastically.

    Args:
        moment: In kN m, about the strong axis.
        grade: Of the steel, by EN 10025.
    """
    from steel import sections

    return sections.lightest(moment, grade)


if __name__ == "__main__":
    for moment in (20.0, 80.0, 320.0):
        found = lightest.run(moment)
        print(f"{moment:g} kN m: {found['name']}, {found['mass']} kg/m, {found['use']:.0%} used")
