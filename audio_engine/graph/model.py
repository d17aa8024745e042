"""A processing graph as data: named nodes, the signals they read, checked before it is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from audio_engine.config import (
    AgcConfig,
    EchoConfig,
    HighPassConfig,
    LimiterConfig,
    LipSyncConfig,
    MeterConfig,
    NoiseConfig,
    check_format,
)
from audio_engine.errors import ConfigError

StageConfig = (
    HighPassConfig
    | EchoConfig
    | NoiseConfig
    | AgcConfig
    | LimiterConfig
    | MeterConfig
    | LipSyncConfig
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One stage: what it does (its configuration), and the signals it reads by name."""

    name: str
    config: StageConfig
    source: str
    far_end: str | None = None
    active: bool = True


class Graph:
    """Stages connected by named signals; `compile_graph` makes it run.

    Parameters
    ----------
    sample_rate_hz : int
        8000 to 96000, the same for all signals.

    Examples
    --------
    >>> from audio_engine.config import HighPassConfig, LimiterConfig
    >>> graph = Graph(48000)
    >>> graph.add_input("mic", channels=2)
    >>> graph.add("door", HighPassConfig(), source="mic")
    >>> graph.add("ceiling", LimiterConfig(), source="door")
    >>> graph.add_output("ceiling")
    >>> [node.name for node in graph.ordered_nodes()]
    ['door', 'ceiling']
    """

    def __init__(self, sample_rate_hz: int) -> None:
        check_format(sample_rate_hz)
        self.sample_rate_hz = sample_rate_hz
        self.inputs: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}
        self.outputs: list[str] = []

    def add_input(self, name: str, channels: int = 1) -> None:
        """Declare a signal that the caller feeds; inputs are fed in the order of declaration."""
        self._check_new(name)
        check_format(self.sample_rate_hz, channels)
        self.inputs[name] = channels

    def add(
        self,
        name: str,
        config: StageConfig,
        *,
        source: str,
        far_end: str | None = None,
        active: bool = True,
    ) -> None:
        """Add a stage that reads the signal `source` and gives the signal `name`.

        Parameters
        ----------
        name : str
            New name of the stage and of its output.
        config : one of the stage configurations
            Its type says which stage it is. Its `enabled` is not looked at: what is in runs.
        source : str
            An input or another stage; it may be added later.
        far_end : str, optional
            The loudspeaker signal; needed by an echo canceller and by nothing else.
        active : bool, optional
            False: the stage begins switched off, listening; it passes its input on until it is
            switched on. High-pass, echo, noise and level stages only.
        """
        self._check_new(name)
        if isinstance(config, EchoConfig) != (far_end is not None):
            raise ConfigError(f"stage {name}: an echo canceller has a far_end, nothing else has")
        if not active and isinstance(config, LimiterConfig | MeterConfig | LipSyncConfig):
            raise ConfigError(
                f"stage {name}: limiters, meters and lip-sync delays cannot be switched off"
            )
        self.nodes[name] = Node(
            name=name, config=config, source=source, far_end=far_end, active=active
        )

    def add_output(self, name: str) -> None:
        """Declare that the signal `name` is given to the caller."""
        self.outputs.append(name)

    def ordered_nodes(self) -> list[Node]:
        """Return the stages in running order.

        Raises
        ------
        ConfigError
            If a name is unknown, a meter is read from, stages form a loop, or there is no input
            or output.
        """
        if not self.inputs or not self.outputs:
            raise ConfigError("a graph has at least one input and one output")
        for node in self.nodes.values():
            for read in self._reads(node):
                self._check_readable(read, f"stage {node.name}")
        for name in self.outputs:
            self._check_readable(name, "an output")
        edges = {name: self._reads(node) for name, node in self.nodes.items()}
        try:
            order = TopologicalSorter(edges).static_order()
            return [self.nodes[name] for name in order if name in self.nodes]
        except CycleError as error:
            loop = " -> ".join(error.args[1])
            raise ConfigError(f"the stages form a loop: {loop}") from None

    def channels_of(self, name: str) -> int:
        """Return the channels of a signal: those of the input it comes from."""
        while name in self.nodes:
            name = self.nodes[name].source
        return self.inputs[name]

    def nearest(self, name: str, kind: type[StageConfig]) -> str | None:
        """Return the closest stage of a kind at or before the signal `name`, or None."""
        while name in self.nodes:
            if isinstance(self.nodes[name].config, kind):
                return name
            name = self.nodes[name].source
        return None

    @staticmethod
    def _reads(node: Node) -> list[str]:
        return [node.source] + ([node.far_end] if node.far_end is not None else [])

    def _check_new(self, name: str) -> None:
        if name in self.inputs or name in self.nodes:
            raise ConfigError(f"the name {name!r} is taken; names in a graph are unique")

    def _check_readable(self, name: str, reader: str) -> None:
        if name not in self.inputs and name not in self.nodes:
            known = ", ".join([*self.inputs, *self.nodes])
            raise ConfigError(f"{reader} reads {name!r}, which does not exist; there are: {known}")
        if name in self.nodes and isinstance(self.nodes[name].config, MeterConfig):
            raise ConfigError(f"{reader} reads {name!r}, a meter, which gives no signal")
