"""The settings of a run in its folder: what a resumed run may change, and what it may not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lavida.errors import ConfigError, DataError
from lavida.train.task import Plan

SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The stages of a run and its options by name."""

    plans: tuple[Plan, ...]
    fixed: Mapping[str, Any]  # cannot change
    changeable: Mapping[str, Any]

    @classmethod
    def read(cls, out: Path) -> Settings | None:
        """Return the settings of a run's folder, None if it has none. Raises DataError if they are damaged."""
        path = out / SETTINGS
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            plans = tuple(Plan(**plan | {"betas": tuple(plan["betas"])}) for plan in held["stages"])
            return cls(plans=plans, fixed=dict(held["fixed"]), changeable=dict(held["changeable"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is damaged ({reason}); delete it to go on with the options given now") from None

    def write(self, out: Path) -> None:
        """Write the settings to a run's folder."""
        fresh = out / f".{SETTINGS}"
        fresh.write_text(json.dumps(self._plain(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(fresh, out / SETTINGS)

    def check(self, before: Settings, out: Path) -> None:
        """Raise ConfigError if an option differs from the run's that cannot change."""
        names = [[plan.name for plan in settings.plans] for settings in (before, self)]
        if names[0] != names[1]:
            old, new = (", ".join(part) for part in names)
            raise ConfigError(f"{out} was begun with other stages ({old}, not {new}); give another folder")
        old, new = before._plain()["fixed"], self._plain()["fixed"]
        for name in old.keys() | new.keys():
            if old.get(name) != new.get(name):
                raise ConfigError(
                    f"{out} was begun with {name} {_shown(old.get(name))}, not {_shown(new.get(name))}, which cannot "
                    "change; give the same, or another folder"
                )

    def check_place(self, before: Settings, stage: int, step: int, out: Path) -> None:
        """Raise ConfigError if the stages as they are now cannot be at this step: done stages stay as they were."""
        for old, new in zip(before.plans[:stage], self.plans):
            if replace(old, accumulate=1) != replace(new, accumulate=1):
                raise ConfigError(
                    f"stage {old.name} of {out} is done and cannot change; give the same, or another folder"
                )
        if step > self.plans[stage].steps:
            raise ConfigError(
                f"{out} has done {step} steps of stage {self.plans[stage].name} and cannot be shortened to "
                f"{self.plans[stage].steps}; give --steps {step} or more"
            )

    def changes(self, before: Settings) -> Iterator[tuple[str, Any, Any]]:
        """Yield name, old and new value of each option that is another one now."""
        old, new = before._plain(), self._plain()
        for name in sorted(old["changeable"].keys() | new["changeable"].keys()):
            values = old["changeable"].get(name), new["changeable"].get(name)
            if values[0] != values[1]:
                yield name, *values
        for ours, theirs in zip(self.plans, before.plans):
            for field in fields(Plan):
                values = getattr(theirs, field.name), getattr(ours, field.name)
                if values[0] != values[1] and field.name != "accumulate":  # how a batch is divided changes nothing
                    yield f"{field.name} of stage {ours.name}", *values

    def _plain(self) -> dict[str, Any]:
        """Return the settings as JSON gives them back."""
        held = {"stages": [asdict(plan) for plan in self.plans]}
        return json.loads(json.dumps(held | {"fixed": dict(self.fixed), "changeable": dict(self.changeable)}))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
