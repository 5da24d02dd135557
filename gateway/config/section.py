"""A section of the file as a frozen model, in which an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=True,  # the whole pole's validator holds those of its sections: one of each is enough
    )
