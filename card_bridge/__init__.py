"""The program beside the user's card reader: answers web pages on the loopback address. Imports nothing of the portal."""

VERSION = "1.0.0"
