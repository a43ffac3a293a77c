"""The Mainflux API of 2021 (M12): things and channels of a user. It sees the web room and the core alone."""
