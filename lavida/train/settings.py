"""The settings of a run in its folder: what a resumed run may change, and what it may not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lavida.errors import ConfigError, DataError
from lavida.train.distributed import rank
from lavida.train.task import Plan

SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold the stages of a run and its options by name, as JSON gives them back."""

    plans: tuple[Plan, ...]
    fixed: Mapping[str, Any]  # cannot change
    changeable: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("fixed", "changeable"):
            object.__setattr__(self, name, json.loads(json.dumps(dict(getattr(self, name)))))

    @classmethod
    def read(cls, out: Path) -> Settings | None:
        """Return the settings of a run's folder, None if it has none. Raises DataError if they are damaged."""
        path = out / SETTINGS
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            plans = tuple(Plan(**plan | {"betas": tuple(plan["betas"])}) for plan in held["stages"])
            return cls(plans=plans, fixed=held["fixed"], changeable=held["changeable"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is damaged ({reason}); delete it to go on with the options given now") from None

    def write(self, out: Path) -> None:
        """Write the settings to a run's folder, in the first process."""
        if rank() != 0:
            return
        held = {"stages": [asdict(plan) for plan in self.plans], "fixed": self.fixed, "changeable": self.changeable}
        fresh = out / f".{SETTINGS}"
        fresh.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(fresh, out / SETTINGS)

    def check(self, before: Settings, out: Path) -> None:
        """Raise ConfigError if an option differs from the run's that cannot change."""
        before_names, names = (", ".join(plan.name for plan in settings.plans) for settings in (before, self))
        if before_names != names:
            raise ConfigError(f"{out} was begun with other stages ({before_names}, not {names}); give another folder")
        for name, old, new in _differences(before.fixed, self.fixed):
            raise ConfigError(
                f"{out} was begun with {name} {_shown(old)}, not {_shown(new)}, which cannot change; "
                "give the same, or another folder"
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

    def changes(self, before: Settings) -> list[tuple[str, Any, Any]]:
        """Return name, old and new value of each option that is another one now."""
        found = _differences(before.changeable, self.changeable)
        for old, new in zip(before.plans, self.plans):
            for name, *values in _differences(asdict(old), asdict(new)):
                if name != "accumulate":  # how a batch is divided changes nothing
                    found.append((f"{name} of stage {new.name}", *values))
        return found


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = sorted(old.keys() | new.keys())
    return [(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
