"""The embedded Whisper server: its process (`process`), the program that runs in it (`server`), and its weights."""
