/* ae_balance.h - a slow gain that keeps a sum of sounds at a loudness: a team, a song, the whole
 * mix.
 *
 * Method: running BS.1770-5. The mean square is averaged over windows of 100 ms, behind the
 * absolute gate and the 10 LU relative gate, and remembers memory_windows of them. A window 10 LU
 * over the mean is a new sound and begins it anew, and so does a sound 10 LU under it after 3 s.
 * The gain walks to the target at a speed nobody hears, faster while the sound is new, and down
 * where it is far too loud. Different from the leveller: no speech decision, no guard; its input is
 * sounds that are levelled already, or music whose dynamics shall stay. Not a filter: it is told
 * K-weighted mean squares. Latency: none. Cost: some ten operations a block. Thread: audio; a plain
 * struct, no allocation.
 */
#ifndef AE_BALANCE_H
#define AE_BALANCE_H

typedef struct {
    float least_db, most_db; /* bounds of the gain */
    float start_db;          /* gain until the first window is full */
    float step_db;           /* largest move per block of 10 ms */
    float young_step_db;     /* in the first second of a sound, and down from far over the target */
    int memory_windows;      /* of 100 ms */
} ae_balance_config;

typedef struct {
    ae_balance_config config;
    double window_sum; /* of the mean squares in the running window */
    int window_blocks;
    double power;    /* running gated mean square */
    int windows;     /* that it is made of, at most memory_windows; 0: nothing heard yet */
    int low_windows; /* in a row, under the relative gate */
    int young_windows;
    float gain_db;
} ae_balance;

void ae_balance_init(ae_balance *self, const ae_balance_config *config);
/* Forget what was heard. */
void ae_balance_reset(ae_balance *self);
/* One block: its K-weighted mean square without this gain. The new gain is in gain_db. */
void ae_balance_update(ae_balance *self, double mean_square, float target_lufs);
/* Loudness without the gain; -200 before the first window. */
float ae_balance_loudness_lufs(const ae_balance *self);

#endif
