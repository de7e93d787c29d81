"""The runtime `words`: counts the words of a text."""

from typing import TYPE_CHECKING, ClassVar

from kedge import CommandRuntime, Runtime
from kedge.data import Data
from kedge.errors import TaskError
from kedge.task import Process
from kedge_sample import _

if TYPE_CHECKING:
    from kedge.task import Task


class WordsRuntime(Data, Runtime[Process]):
    """Counts the words of the input `source`, and writes their number to the output `count`."""

    kind: ClassVar[str] = "words"
    kind_name = _("Words")
    kind_description = _("Counts the words of a text.")

    source: str

    async def _setup_runtime(self, task: "Task") -> Process:
        if self.source not in task.values:
            raise TaskError(
                f"the runtime `words` counts `{self.source}`, and there is no such input",
                hint="declare an input of that id",
            )
        command = CommandRuntime(f"wc -w < {{{self.source}}} > {{count}}")
        return await command.setup_runtime(task)
