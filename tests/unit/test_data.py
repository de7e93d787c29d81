"""Classes of plain data: what they take, refuse, and are equal to."""

import copy
import pickle
from typing import ClassVar

import pytest

from kedge.data import Data, asdict, field, replace


class Point(Data):
    """Two numbers."""

    x: float
    y: float = 0.0


class Named(Point):
    """A point with a name; its class has a constant, which is no field."""

    unit: ClassVar[str] = "mm"
    name: str = "origin"
    tags: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name} in {self.unit}"


class Often(Named):
    """One of which there are many."""

    kind: float = 0.0


def often() -> type[Often]:
    for _ in range(200):
        Often(1)
    assert vars(Often)["__init__"] is not Data.__init__
    return Often


class Counter(Data, frozen=False):
    """A number that goes up."""

    number: int = 0


class Nested(Data):
    """Data within data."""

    parts: tuple[Point, ...]
    by_name: dict[str, list[Point]]


def test_fields_are_given_in_their_order_or_by_name() -> None:
    assert (Point(1).x, Point(1).y) == (1, 0.0)
    assert Point(1, 2) == Point(y=2, x=1) != Point(2, 1)
    assert repr(Named(1, name="a")) == "Named(x=1, y=0.0, name='a', tags=[])"
    assert Named(1).label == "origin in mm"
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


@pytest.mark.parametrize(
    ("values", "named", "said"),
    [
        ((), {}, "Point: missing: x"),
        ((1, 2, 3), {}, "Point: 3 given where there are 2"),
        ((1,), {"x": 2}, "Point: given twice: x"),
        ((1,), {"x": 2, "y": 3}, "Point: given twice: x"),
        ((1,), {"z": 2}, "Point: no such field: z"),
        ((), {"z": 2}, "Point: no such field: z; missing: x"),
        ((), {"y": 2}, "Point: missing: x"),
    ],
)
def test_what_is_missing_doubled_or_unknown_is_said(values, named, said) -> None:
    with pytest.raises(TypeError) as caught:
        Point(*values, **named)
    assert str(caught.value) == said


def test_a_class_of_which_there_are_many_takes_and_refuses_the_same() -> None:
    kind = often()
    assert repr(kind(1, name="a")) == "Often(x=1, y=0.0, name='a', tags=[], kind=0.0)"
    assert kind(1, 2, "b", ["c"], 4) == kind(kind=4, tags=["c"], name="b", y=2, x=1)
    kind(1).tags.append("changed")
    assert kind(1).tags == [] and replace(kind(1), y=5) == kind(1, 5)
    for values, named, said in (
        ((), {}, "Often: missing: x"),
        ((1, 2, "", [], 5, 6, 7), {}, "Often: 7 given where there are 5"),
        ((1,), {"z": 2}, "Often: no such field: z"),
        ((), {"z": 2, "y": 1}, "Often: no such field: z; missing: x"),
    ):
        with pytest.raises(TypeError) as caught:
            kind(*values, **named)
        assert str(caught.value) == said
    with pytest.raises(TypeError, match="multiple values for argument 'x'"):
        kind(1, x=2)


def test_classes_that_derive_from_one_of_which_there_are_many_take_their_own_fields() -> None:
    class Base(Data):
        x: int
        y: int = 1

    class Same(Base):
        def __init__(self, **named: int) -> None:
            super().__init__(x=1, **named)

    for _ in range(200):
        Base(1)
        Same(y=2)

    class More(Base):
        y: int = 2
        z: int = 3

    class Own(Same):
        z: int = 3

    assert More(0) == More(0, 2, 3) and Same(y=5).y == 5
    assert (Own(z=4).x, Own(z=4).y, Own(z=4).z, Own().z) == (1, 1, 4, 3)
    assert Base(2, 3) == Base(y=3, x=2)


def test_what_somebody_puts_in_the_place_of_an_init_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def noting(self: Point, *values: float, **named: float) -> None:
        made.append(self)
        Data.__init__(self, *values, **named)

    class Noted(Point):
        pass

    monkeypatch.setattr(Noted, "__init__", noting)
    for _ in range(200):
        Noted(1)
    assert len(made) == 200


def test_what_does_not_change_cannot_be_set_and_has_a_hash() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="`x` cannot be set"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="`x` cannot be deleted"):
        del point.x  # type: ignore[misc]
    assert hash(point) == hash(Point(1)) and len({point, Point(1), Point(2)}) == 2
    assert replace(point, y=5) == Point(1, 5) and point == Point(1)
    with pytest.raises(TypeError, match="no such field: z"):
        replace(point, z=5)


def test_what_changes_can_be_set_and_has_no_hash() -> None:
    counter = Counter()
    counter.number += 1
    assert counter == Counter(1)
    with pytest.raises(TypeError):
        hash(counter)


def test_classes_and_defaults_are_kept_apart() -> None:
    assert Point(1) != Named(1) and Point(1) != (1, 0.0)
    Named(1).tags.append("changed")
    assert Named(1).tags == []


def test_it_becomes_plain_data_with_all_that_is_in_it() -> None:
    nested = Nested((Point(1),), {"a": [Point(2)]})
    assert asdict(nested) == {
        "parts": ({"x": 1, "y": 0.0},),
        "by_name": {"a": [{"x": 2, "y": 0.0}]},
    }


def test_it_can_be_copied_and_pickled() -> None:
    named = Named(1, name="a", tags=["b"])
    assert copy.deepcopy(named) == copy.copy(named) == named
    assert pickle.loads(pickle.dumps(named)) == named
