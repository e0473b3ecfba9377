"""Our own figures: what the simulated device costs and how well it answers. No paper's claims but those named."""
