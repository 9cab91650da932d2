"""gitpuller with a clock that stands still: whatever it names by the second has one name."""
import datetime

from nbgitpuller import pull


class Held(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 23, 9, 0, 0)


class module:
    datetime = Held


pull.datetime = module
pull.main()
