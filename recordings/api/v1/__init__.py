"""The door for every other program: OpenAI's audio routes, so that a new base URL brings a program to the one gate.

They are as in OpenAI's reference (platform.openai.com/docs/api-reference/audio), errors too. Their own sentences are
English, as OpenAI's are. A file is heard as an upload is (`recordings.work.hearing`), but its stretches take their
turns one after the other, so that a long file holds nobody up. Nothing is kept.
"""
