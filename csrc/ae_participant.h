/* ae_participant.h - one participant of a room: from the block that arrived to a signal and the
 * weight with which it goes into the mix.
 *
 * A voice is levelled (ae_leveller) and heard by the automixer (ae_automix_mic); a song gets a slow
 * gain (ae_balance) to its loudness. Weights are ramped. Where a block is missing, holds a broken
 * sample, or the participant has left, the last block is played backwards and faded out: it begins
 * with the sample that was last heard, so nothing clicks. Who sends two broken blocks within a
 * second is kept out for 0.1 s after each: between them he sends no better.
 * Latency: none. Cost: a copy, two energies, and the leveller's. Thread: audio; create allocates.
 */
#ifndef AE_PARTICIPANT_H
#define AE_PARTICIPANT_H

#include "ae_automix.h"
#include "ae_balance.h"
#include "ae_common.h"
#include "ae_kweight.h"
#include "ae_leveller.h"

/* ffi:begin */
typedef enum {
    AE_ROLE_VOICE = 0,
    AE_ROLE_HOST = 1, /* a voice that the gain sharing prefers */
    AE_ROLE_MUSIC = 2,
} ae_role;

typedef struct {
    int role;            /* ae_role */
    int team;            /* 0: none, 1, 2; voices only */
    float trim_db;       /* -24 .. 12 */
    float start_gain_db; /* -26 .. 36: gain of the leveller before the first speech; 0 for music */
} ae_participant_config;

typedef struct {
    int open;             /* 1: heard in the mix */
    int muted;            /* as set */
    float gain_db;        /* of the leveller, or of the song's balance */
    float voice_gain_db;  /* of the leveller, without what it does for the moment: the next start */
    float loudness_lufs;  /* of the voice, or of the song, as it came in; -200: not known */
    float share;          /* 0 .. 1: gain of the automixer */
    int64_t broken_count; /* samples that were no numbers or beyond +18 dBFS */
} ae_participant_report;
/* ffi:end */

/* What the room gives to everybody. */
typedef struct {
    int sample_rate_hz, channels;
    int level_voices;
    float target_lufs; /* of voices */
    float music_lufs;
    float ceiling_dbtp;
} ae_participant_room;

typedef struct {
    ae_participant_config config;
    int channels, block_frames;
    ae_leveller *leveller; /* NULL: not levelled */
    ae_kweight *weighting; /* of a song */
    ae_balance balance;    /* of a song */
    float music_lufs;      /* where it is kept */
    ae_automix_mic mic;
    float *signal[AE_MAX_CHANNELS]; /* this block: cleaned and levelled; without weight */
    float trim_db, wanted_trim_db;
    float trim;            /* as amplitude */
    float weight;          /* at the end of this block */
    float previous_weight; /* at its start */
    int muted, leaving;
    int delivers;                               /* 1: this block arrived and is wanted */
    int since_broken_blocks, distrusted_blocks; /* since the last broken block; still kept out */
    int64_t broken_count;
} ae_participant;

ae_status ae_participant_create(ae_participant **out, const ae_participant_config *config,
                                const ae_participant_room *room);
void ae_participant_destroy(ae_participant *self);
void ae_participant_reset(ae_participant *self);
/* Between voices only. */
void ae_participant_set_role(ae_participant *self, int role, int team);
void ae_participant_set_trim_db(ae_participant *self, float trim_db);
/* One block: channels rows of block_frames behind each other, or NULL for a gap. */
void ae_participant_take(ae_participant *self, const float *in, float speech_probability);
/* After the automixer has decided: the weight, with what the room gives on top. */
void ae_participant_weigh(ae_participant *self, float room_gain);
/* 1: it is in the mix during this block, at its start or at its end. */
int ae_participant_is_heard(const ae_participant *self);
int ae_participant_is_voice(const ae_participant *self);
/* sum[c] += weight * signal[c], and to[c] = from[c] - weight * signal[c]. */
void ae_participant_add_to(const ae_participant *self, float *const *sum);
void ae_participant_take_from(const ae_participant *self, float *const *from, float *const *to);
void ae_participant_read(const ae_participant *self, ae_participant_report *out);

#endif
