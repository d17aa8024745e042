/* ae_kalman.h - partitioned-block frequency-domain Kalman filter for the echo path of one far-end
 * channel, or for those of two.
 *
 * Method: Enzner & Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in
 * hands-free telephones" (Signal Processing 86, 2006), in the partitioned form of Kuech, Mabande,
 * Enzner, "State-space architecture of the partitioned-block-based acoustic echo controller"
 * (ICASSP 2014). Per bin k and partition p: echo path H, its error covariance P (diagonal), and per
 * bin the power Psi of all that is not echo (near end, noise):
 *     S = 1/2 sum_p |X_p|^2 P_p + Psi,
 *     H_p += 0.57 P_p X_p* E / S,  P_p *= 1 - 0.18 |X_p|^2 P_p / S,
 *     H_p *= A,  P_p = A^2 P_p + (1 - A^2) |H_p|^2.
 * Psi is the only control: it is what |E|^2 holds beyond the expected misadjustment, so double talk
 * slows the filter down by itself; there is no threshold and no freeze.
 * Different from the papers: the gradient constraint (the second half of each partition's impulse
 * response is zero) is applied to H itself, to a few partitions per block in turn; partitions late
 * in the tail hold only the low bins, where the room still rings.
 * Two channels (Malik & Enzner, "Recursive Bayesian control of multichannel acoustic echo
 * cancellation", IEEE Signal Processing Letters 18, 2011): per bin and partition P is the 2 x 2
 * covariance of both paths. Where the channels hold one signal, only the sum of the paths that it
 * shows is learned and believed in, as by a filter with one channel; the rest stays open, so that a
 * talker who moves from one loudspeaker to the other is learned as quickly as the first time.
 * Partitions stay independent of each other.
 * Cost: per row and bin 8 multiplications in a prediction and 20 in a step; per pair of rows 21 and
 * 50. Thread: audio; no allocation after create. */
#ifndef AE_KALMAN_H
#define AE_KALMAN_H

#include "ae_far_end.h"
#include "ae_fft.h"

typedef struct {
    int channels;          /* of the far end: 1 or 2 */
    int block_frames;      /* M; the FFT has at least 2 M points */
    int fft_size;          /* ae_fft_good_size(2 M) */
    int partitions;        /* longest tail in blocks */
    int first_partitions;  /* tail in use until ae_kalman_grow, 1 .. partitions */
    int branch_partitions; /* of each bent branch of the far end; 0: linear only */
    int full_partitions;   /* the first ones, which hold every bin */
    int low_bins;          /* how many bins the others hold */
    float memory;          /* A, share of the echo path that survives one block, 0.9 .. 1 */
} ae_kalman_config;

typedef struct ae_kalman ae_kalman;

ae_status ae_kalman_create(ae_kalman **out, const ae_kalman_config *config);
/* Echo estimate of the newest block; also works out the expected misadjustment of every bin. */
void ae_kalman_predict(ae_kalman *self, const ae_far_spectra *far, float *echo);
/* Learn from the newest block's error (block_frames), and say what the echo estimate of this very
 * block has become by it: X H moves by 2 * 0.57 A * expected * E / S, so that no second sum over
 * the partitions is needed. `posterior_echo` may be NULL. Returns 1 when the echo path had left its
 * bounds (a gain of 20 dB in one partition) and was restarted from zero, else 0. */
int ae_kalman_adapt(ae_kalman *self, const ae_far_spectra *far, const float *error,
                    float *posterior_echo);
/* 1/2 sum_p |X_p|^2 P_p of the newest block: expected |FFT of the misadjustment echo|^2, bins. */
const float *ae_kalman_misadjustment(const ae_kalman *self);
/* Use all partitions from the next block on. */
void ae_kalman_grow(ae_kalman *self);
/* Share of the path's energy in the last quarter of the partitions in use; 0 once it has grown. */
float ae_kalman_tail_share(const ae_kalman *self);
/* Take over the echo path of another filter of the same shape, and the larger covariance. */
void ae_kalman_adopt(ae_kalman *self, const ae_kalman *from);
/* Take over only the echo path. */
void ae_kalman_copy_path(ae_kalman *self, const ae_kalman *from);
/* The far end's delay grew by so many blocks (may be negative): keep the echo path where it is. */
void ae_kalman_shift(ae_kalman *self, int blocks);
/* Raise the covariance to at least this share of the prior: the path may have changed. */
void ae_kalman_doubt(ae_kalman *self, float share);
/* Echo path * factor; the covariance grows by what was taken away. */
void ae_kalman_shrink(ae_kalman *self, float factor);
/* For keeping what was learned beyond a session: H and P of the bins in use, row by row, and P12.
 * How many floats that is; writing them; whether they are finite and within the filter's own
 * bounds; taking over what is. */
int ae_kalman_state_floats(const ae_kalman *self);
void ae_kalman_write_state(const ae_kalman *self, float *to);
int ae_kalman_state_is_sound(ae_kalman *self, const float *from);
void ae_kalman_read_state(ae_kalman *self, const float *from);
void ae_kalman_reset(ae_kalman *self);
void ae_kalman_destroy(ae_kalman *self);

#endif
