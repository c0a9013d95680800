"""Studies at rest: where they lie, what they hold, who may write. No sampler and no sweep file here."""
