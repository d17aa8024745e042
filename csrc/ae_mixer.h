/* ae_mixer.h - the room: many participants in, the programme and everybody's mix without himself
 * out.
 *
 * A voice is cleaned, levelled (ae_leveller, where the room levels), and goes through its gate and
 * the gain sharing of the automixer (ae_automix) into the sum. A song goes past both: a slow gain
 * (ae_balance) puts it music_below_lu under the voices, and measured speech ducks it. Each team of
 * a PK battle has a slow gain to the voices' target, so that three who talk at once do not beat
 * one. The sum passes a look-ahead true-peak limiter (ae_limiter).
 *
 * Mix-minus: sum - own signal, with a limiter of its own, for open microphones only. Whoever is
 * closed hears the programme itself, sample for sample. When a microphone opens, its limiter takes
 * over the programme limiter's state; when it has closed and both limiters agree again, it is faded
 * over to the programme. So the cost is O(participants) to listen, O(open microphones) to mix.
 *
 * Joining, leaving, muting and gaps in the delivery never click: every weight is ramped, and what
 * stops without warning is faded out over its own mirror image. A block with a broken sample
 * (non-finite or |x| > 8) is a gap for everybody; such samples are counted.
 * Latency: ae_mixer_latency_frames, of the limiter. One block of ae_block_frames a call. Sets
 * flush-to-zero on entry and restores the mode on exit.
 * Thread: process, read, leave and the setters on one thread; join allocates and belongs between
 * two blocks. */
#ifndef AE_MIXER_H
#define AE_MIXER_H

#include "ae_common.h"
#include "ae_limiter.h"
#include "ae_participant.h"

/* ffi:begin */
typedef struct ae_mixer ae_mixer;

typedef struct {
    int sample_rate_hz;   /* 8000 .. 96000 */
    int channels;         /* 1 .. 8, of every signal */
    int max_participants; /* 1 .. 4096 */
    int level_voices;     /* 0 or 1: 0 where they come at target_lufs */
    float target_lufs;    /* -36 .. -9: loudness of every voice, and of a team */
    float programme_lufs; /* -36 .. -9: while voices speak, a slow trim towards it; 0: none */
    float music_below_lu; /* 0 .. 24: how far music lies under target_lufs */
    float duck_db;        /* 0 .. 24: how far speech turns the music down */
    float ceiling_dbtp;   /* -20 .. 0 */
} ae_mixer_config;

typedef struct {
    int participants, open;
    float programme_trim_db;
    float music_duck_db;         /* >= 0 */
    float team_gain_db[2];       /* without the team's trim */
    float team_loudness_lufs[2]; /* of their speech before that gain; -200: not known */
    ae_limiter_report limiter;   /* of the programme */
} ae_mixer_report;

ae_mixer_config ae_mixer_default_config(int sample_rate_hz);
ae_status ae_mixer_create(ae_mixer **out, const ae_mixer_config *config);
void ae_mixer_destroy(ae_mixer *self);
/* Everybody stays, as if all had just joined. */
void ae_mixer_reset(ae_mixer *self);
/* A place for one more, in *place; AE_ERROR_FULL when there is none. */
ae_status ae_mixer_join(ae_mixer *self, const ae_participant_config *participant, int *place);
/* Fades out in the next block; then the place is free. */
void ae_mixer_leave(ae_mixer *self, int place);
void ae_mixer_set_muted(ae_mixer *self, int place, int muted);
/* A voice becomes host, changes teams, or leaves its team; from or to music it does nothing. */
void ae_mixer_set_role(ae_mixer *self, int place, int role, int team);
/* Moves by at most 1 dB per block. */
void ae_mixer_set_trim_db(ae_mixer *self, int place, float trim_db);
/* On top of the team's balance; -6 .. 6. */
void ae_mixer_set_team_trim_db(ae_mixer *self, int team, float trim_db);
/* One block. `in` holds `places` rows of channels x block_frames floats; participants beyond them,
 * or with present[place] == 0, are gaps (present NULL: all there are). speech_probability: one per
 * row, 0 .. 1, < 0 not known; NULL: none is. `mix` gets channels x block_frames floats, `minus` the
 * rows of the participants whose mix without themselves differs from it (see ae_mixer_own); with
 * every_row, of all places. Nothing may overlap. */
void ae_mixer_process(ae_mixer *self, const float *in, int places, const uint8_t *present,
                      const float *speech_probability, float *mix, float *minus, int every_row);
/* 1 where the last block's mix without the participant was not the programme. One per place. */
const uint8_t *ae_mixer_own(const ae_mixer *self);
int ae_mixer_latency_frames(const ae_mixer *self);
void ae_mixer_read(const ae_mixer *self, ae_mixer_report *out);
/* All zero for a free place. */
void ae_mixer_read_participant(const ae_mixer *self, int place, ae_participant_report *out);
/* ffi:end */

#endif
