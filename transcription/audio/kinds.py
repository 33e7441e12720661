"""The file formats and codecs that may be opened, by FFmpeg's names.

The lists have the formats of recorders, phones, cameras, broadcasts, conferences and archives. A format that names
other files or addresses to open (playlists, DASH, concat, SDP, image sequences) is never added, since a person's file
must not make the server read another one. Formats and codecs of games are left out: nobody records with them, and each
is more code that a hostile file can reach.
"""

import re

# Demuxers, and the media types of their files with sound alone.
FORMATS = {
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "act": "audio/x-act",  # the memos of small voice recorders
    "aea": "audio/x-aea",  # MiniDisc
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "ape": "audio/x-ape",
    "asf": "audio/x-ms-wma",
    "au": "audio/basic",
    "avi": "video/x-msvideo",
    "caf": "audio/x-caf",
    "dhav": "video/x-dhav",  # cameras that watch doors
    "dsf": "audio/x-dsf",
    "dss": "audio/x-dss",
    "dts": "audio/vnd.dts",
    "dtshd": "audio/vnd.dts.hd",
    "dv": "video/x-dv",
    "eac3": "audio/eac3",
    "flac": "audio/flac",
    "flv": "video/x-flv",
    "gsm": "audio/x-gsm",
    "gxf": "video/x-gxf",
    "iff": "audio/x-iff",  # DSDIFF too
    "ilbc": "audio/ilbc",
    "ircam": "audio/x-ircam",
    "live_flv": "video/x-flv",
    "loas": "audio/x-loas",
    "matroska": "audio/x-matroska",
    "mlp": "audio/x-mlp",
    "mov": "audio/mp4",
    "mp3": "audio/mpeg",
    "mpc": "audio/x-musepack",
    "mpc8": "audio/x-musepack",
    "mpeg": "video/mpeg",
    "mpegts": "video/mp2t",
    "mxf": "application/mxf",
    "nistsphere": "audio/x-nist",
    "nut": "video/x-nut",
    "ogg": "audio/ogg",
    "oma": "audio/x-oma",
    "qcp": "audio/qcelp",
    "rm": "audio/vnd.rn-realaudio",
    "shn": "audio/x-shorten",
    "sox": "audio/x-sox",
    "tak": "audio/x-tak",
    "truehd": "audio/vnd.dolby.mlp",
    "tta": "audio/x-tta",
    "voc": "audio/x-voc",
    "vqf": "audio/x-twinvq",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wtv": "video/x-ms-wtv",
    "wv": "audio/x-wavpack",
    "xwma": "audio/x-ms-wma",
}
# Media types of files with a moving picture, where they differ.
WITH_PICTURES = {
    "asf": "video/x-ms-wmv",
    "mxf": "application/mxf",
    "ogg": "video/ogg",
    "rm": "application/vnd.rn-realmedia",
}

# Decoders, as one text for FFmpeg. Where FFmpeg has two for a codec, the preferred one.
CODECS = (
    "aac,aac_latm,als,mp1,mp1float,mp2,mp2float,mp3,mp3float,mp3adu,mp3adufloat,mp3on4,mp3on4float,"
    "opus,vorbis,speex,flac,alac,ape,mpc7,mpc8,shorten,tak,tta,wavpack,"
    "ac3,eac3,dca,truehd,mlp,dolby_e,s302m,"
    "wmalossless,wmapro,wmav1,wmav2,wmavoice,xma1,xma2,"
    "cook,ralf,real_144,real_288,sipr,atrac1,atrac3,atrac3al,atrac3plus,atrac3plusal,atrac9,"
    "amrnb,amrwb,evrc,g722,g723_1,g726,g726le,g728,g729,gsm,gsm_ms,ilbc,qcelp,siren,msnsiren,truespeech,dss_sp,"
    "imc,iac,metasound,nellymoser,on2avc,qdm2,qdmc,twinvq,mace3,mace6,hcom,8svx_exp,8svx_fib,"
    "dsd_lsbf,dsd_lsbf_planar,dsd_msbf,dsd_msbf_planar,dst,dvaudio,"
    "adpcm_ct,adpcm_ima_amv,adpcm_ima_dk3,adpcm_ima_dk4,adpcm_ima_oki,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,"
    "adpcm_sanyo,adpcm_sbpro_2,adpcm_sbpro_3,adpcm_sbpro_4,adpcm_swf,adpcm_yamaha,sdx2_dpcm,"
    "pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_f16le,pcm_f24le,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_lxf,"
    "pcm_s8,pcm_s8_planar,pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24daud,pcm_s24le,"
    "pcm_s24le_planar,pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,"
    "pcm_u8,pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_vidc"
)

# The name of the codec as MP4 and MOV (four letters of the sample description), Matroska (CodecID), and WAV and AVI
# (wFormatTag) write it.
_WRITTEN = re.compile(
    rb"soun.{0,400}?stsd.{12}([\x20-\x7e]{4})|\x86([\x80-\xbf])(A_[A-Z0-9_/]+)|(?:fmt .{4}|auds.{0,100}?strf.{4})(..)",
    re.DOTALL,
)


def written_codec(part: bytes) -> str:
    """The codec's name as written in this part of the file, for a codec unknown to FFmpeg; "?" where none is found."""
    if not (found := _WRITTEN.search(part)):
        return "?"
    four_letters, size, codec_id, tag = found.groups()
    if tag:
        return f"0x{int.from_bytes(tag, 'little'):04x}"
    return (four_letters or codec_id[: size[0] & 0x7F]).decode().strip()
