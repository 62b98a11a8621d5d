"""The parts of a sweep: settings, trials, the folder, workers."""
