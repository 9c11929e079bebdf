"""What cells and the panel of one kernel share; nothing here imports IPython."""
