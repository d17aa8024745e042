/* ae_leveller.h - brings a voice to one loudness, live: the AGC of audio_engine.
 *
 * Method: a slow gain puts the loudness of the voice (ae_speech_loudness: running BS.1770-5 over
 * speech only) on target_lufs; upward it moves only while somebody speaks, and within a dead band
 * not at all, so a steady tone stays undistorted. What came out louder or softer than the target
 * over the last 15 s of speech is made up for. Until the slow gain has followed, a guard holds the
 * momentary loudness near the target (a hot host, a shout). In pauses longer than 0.5 s noise above
 * -50 LUFS is turned down again. Loudness that the limiter behind will take from a voice with high
 * peaks is made up for in advance. The gain is common to all channels and ramped linearly over the
 * block. It is decided from blocks up to and with the one it is applied to: a block is complete
 * when it is processed, so this adds no latency. Latency: 0. Cost: K weighting, one multiplication
 * per sample, some hundred operations a block. Thread: audio, no allocation after create. */
#ifndef AE_LEVELLER_H
#define AE_LEVELLER_H

#include "ae_common.h"

/* ffi:begin */
typedef struct {
    int sample_rate_hz;    /* 8000 .. 96000 */
    int channels;          /* 1 .. 8, one gain for all */
    float target_lufs;     /* -36 .. -6, loudness of the voice (all channels summed, BS.1770-5) */
    float max_gain_db;     /* 0 .. 60 */
    float min_gain_db;     /* -60 .. 0 */
    float initial_gain_db; /* min_gain_db .. max_gain_db, before the first speech. Other than 0: the
                              voice is known, this is its gain until speech says otherwise */
    float pause_reduction_db; /* 0 .. 24, how far the gain may fall in long pauses */
    float ceiling_dbtp; /* -20 .. 0, of the limiter that follows: what it takes is made up for */
} ae_leveller_config;

typedef struct {
    float gain_db;              /* at the end of the last block, all parts together */
    float voice_gain_db;        /* the slow gain alone, that of the voice: worth keeping, as the
                                   initial_gain_db of the same talker's next session */
    float guard_reduction_db;   /* >= 0: part of gain_db, taken away by the fast guard */
    float pause_reduction_db;   /* >= 0: part of gain_db, taken away in a pause */
    float speech_loudness_lufs; /* of the voice at the input; before the first speech what
                                   initial_gain_db stands for, or -200 */
    float noise_floor_lufs;     /* of the input; -200 for digital silence */
    int speech;                 /* 0/1: the last block was taken for speech */
} ae_leveller_report;

typedef struct ae_leveller ae_leveller;

ae_leveller_config ae_leveller_default_config(int sample_rate_hz);
ae_status ae_leveller_create(ae_leveller **out, const ae_leveller_config *config);
/* One block of ae_block_frames(rate) frames per channel. speech_probability: 0..1 for this block,
 * or < 0 when not known (then energy over the noise floor decides). `out` may equal `in`. */
void ae_leveller_process(ae_leveller *self, const float *const *in, float speech_probability,
                         float *const *out);
/* The gain walks to the new target at its usual speed. Clamped to -36 .. -6. */
void ae_leveller_set_target_lufs(ae_leveller *self, float target_lufs);
/* The noise before a suppressor in front took it away, from this block on: what is hardly louder
 * than it (a music bed, babble) is not taken for a quiet talker. Cleared by reset. */
void ae_leveller_set_removed_noise_dbfs(ae_leveller *self, float level_dbfs);
/* 0/1: music plays, from this block on. Then only what is surely speech (speech_probability of 0.8
 * and more) moves the level and lets the gain rise, and no quieter talker is believed; without a
 * speech probability nothing does. Nobody tells a leveller that stands alone. Cleared by reset. */
void ae_leveller_set_music(ae_leveller *self, int music);
void ae_leveller_read(const ae_leveller *self, ae_leveller_report *out);
void ae_leveller_reset(ae_leveller *self);
void ae_leveller_destroy(ae_leveller *self);
int ae_leveller_latency_frames(const ae_leveller *self);
/* ffi:end */

#endif
