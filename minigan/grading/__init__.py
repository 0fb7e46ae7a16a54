"""Layer 7: the exercise checker. ``minigan check`` in a terminal, :func:`check` in a notebook.

``tasks`` says what a task is and runs its checks on functions; ``source`` reads a learner's file
without running it; ``course`` finds the chapters; ``child`` runs a learner's file in a process of
its own, which ``sandbox`` starts, limits and listens to (``platforms`` holds what differs between
systems); ``progress`` remembers; ``report`` puts it into words; ``submissions`` finds what a class
handed in, and ``classroom`` grades it; ``commands`` are the commands.
"""

from minigan.grading.notebook import check, status
from minigan.grading.tasks import Check, Idea, Task, Unlike, Where, kind

__all__ = ["Check", "Idea", "Task", "Unlike", "Where", "check", "kind", "status"]
