"""What takes longer than a click may: an estimation in another process, a reslicing between the window's events."""
