/* ae_suppressor.h - takes noise, residual echo and late reverberation away in one short-time
 * spectrum, and says how likely speech is.
 *
 * Analysis, hum, echo stage, noise stage, one gain per bin = noise gain x residual-echo gain, the
 * same for all channels (it is worked out from their mean power, so the stereo picture stays),
 * nets, comfort noise, synthesis. The parts:
 *   ae_stft           there and back
 *   ae_hum            mains hum, line by line, before all else
 *   ae_echo_stage     gain against residual echo
 *   ae_noise_stage    gain against noise and late reverberation, and how likely speech is
 *   ae_net_stage      one of two nets, if there are any, works on what these leave; the noise stage
 *                     then stops at 10 dB
 *   ae_comfort_noise  where the echo gain digs below the room's floor, noise of the same level and
 *                     colour fills the hole
 * With attenuation_limit_db = 0 and no echo the output is the input, one hop late.
 * Latency: one block of 10 ms. Cost: two FFTs of 32 ms per channel and block.
 * Thread: audio, no allocation after create. */
#ifndef AE_SUPPRESSOR_H
#define AE_SUPPRESSOR_H

#include "ae_common.h"
#include "ae_echo_view.h"
#include "ae_net_model.h"

/* ffi:begin */
typedef struct ae_suppressor ae_suppressor;

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    int first_channel;  /* 0 .. 7: number of the first of them among all that are heard together, so
                           that no two have the same comfort noise */
    int echo;           /* 0, 1: make room for the residual echo stage */
    int noise;          /* 0, 1: turn noise down and judge speech; 0 takes echo alone away
                           at two thirds of the cost, speech_probability stays 0 */
    float attenuation_limit_db; /* 0 .. 40: how far noise and reverberation may be turned down; from
                                   0.5 on mains hum goes by 22.5 dB at least */
    float unaided_limit_db;     /* 0 .. 40: the most of that where no net is at work */
    float dereverb;             /* 0 .. 1: strength of late-reverberation removal */
    int transients;             /* 0, 1: take key strokes, clicks and taps away */
    int music_guard;            /* 0, 1: where music plays, hold the attenuation at 6 dB */
    /* Nets that work on what the stages above leave; NULL: not there. They must outlive this. */
    const ae_net_model *small_model, *large_model;
    int tier; /* 0 (no net), 1 (small), 2 (large); one that is not there is the next lower that is
               */
    int net_hears_far_end; /* 0, 1: a net takes residual echo too, where there is one, and the echo
                              stage does half; 0: the echo stage alone, the net hears no far end */
} ae_suppressor_config;

typedef struct {
    float noise_level_dbfs;   /* level of the noise estimate, all frequencies */
    float noise_reduction_db; /* what the noise gain takes off it, >= 0, last 300 ms */
    float echo_reduction_db;  /* what the echo gain takes off the signal, >= 0, last 300 ms */
    float speech_probability; /* 0 .. 1, of the newest block (one ahead of the output) */
    float reverb_time_s; /* T60 of the room as the late-reverberation stage sees it; 0: not known or
                            dry */
    float hum_hz;        /* base of the mains hum that is taken away; 0: none */
    int music;           /* 1: music plays, says the music guard; 0 where that is off */
    uint32_t transient_count; /* key strokes and clicks that were taken away since reset */
    float near_end_presence;  /* 0 (echo alone) .. 1 (near end; no echo filter; a silent far end) */
    int tier;                 /* whose net runs: 0 (none), 1 (small), 2 (large) */
    float net_share; /* 0 .. 1: how much of its work is in the output; a net is faded in and out */
} ae_suppressor_report;

ae_suppressor_config ae_suppressor_default_config(int sample_rate_hz);
ae_status ae_suppressor_create(ae_suppressor **out, const ae_suppressor_config *config);
void ae_suppressor_destroy(ae_suppressor *self);
void ae_suppressor_reset(ae_suppressor *self);
int ae_suppressor_latency_frames(const ae_suppressor *self); /* ae_block_frames(rate) */
/* One block of ae_block_frames(rate) frames per channel. `out` may equal `in`. `echo`: one view per
 * channel, or NULL: no echo in this block; needs config.echo = 1. */
void ae_suppressor_process(ae_suppressor *self, const float *const *in,
                           const ae_echo_view *const *echo, float *const *out);
void ae_suppressor_set_attenuation_limit_db(ae_suppressor *self, float attenuation_limit_db);
void ae_suppressor_set_unaided_limit_db(ae_suppressor *self, float unaided_limit_db);
void ae_suppressor_set_dereverb(ae_suppressor *self, float dereverb);
void ae_suppressor_set_transients(ae_suppressor *self, int transients);
void ae_suppressor_set_music_guard(ae_suppressor *self, int music_guard);
/* Ramps; a net that begins is heard 0.3 s later. */
void ae_suppressor_set_tier(ae_suppressor *self, int tier);
void ae_suppressor_read(const ae_suppressor *self, ae_suppressor_report *out);
/* ffi:end */

/* While time is short: no tier above this runs, whatever is set. 2: no limit. */
void ae_suppressor_hold_tier(ae_suppressor *self, int most);
/* The tier that runs as things are set, if none above `most` may. */
int ae_suppressor_tier_within(const ae_suppressor *self, int most);

#endif
