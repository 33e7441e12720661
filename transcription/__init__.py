"""The way to Whisper: gate, limit, client, audio, captions, and the embedded engine. Its door is `service`."""

import os

# From 1.29 on, onnxruntime (the voice activity network) tells Microsoft of its use unless this is set before it starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
