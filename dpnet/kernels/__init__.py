"""The loops over single elements: in numpy (`spec`), and as compiled loops that do the same in one pass (`loops`)."""
