#include "ae_kalman.h"

#include "ae_math.h"

/* First covariance of partition p: 0.4 exp(-p / 5 blocks): a room decays. */
static const float k_prior_decay_blocks = 5.0f;
static const float k_prior_power = 0.4f; /* |H|^2 per bin: a loudspeaker 4 dB below the signal */
/* Share of P12 that survives a block. The rest, far below what the paths themselves move, keeps
 * rounding from making a covariance matrix indefinite. */
static const double k_cross_keep = 1.0 - 3e-7;
static const float k_most_cross = 1.01f; /* |P12|^2 / (P11 P22) of a sound state: 1 and rounding */
static const float k_branch_prior_power = 0.01f;
static const float k_most_energy = 100.0f; /* of one partition's impulse response: 20 dB of gain */
static const float k_step = 0.57f;
static const float k_mean_rate = 0.1f;
static const float k_excess = 20.0f;
static const float k_deflate = 0.5f;
static const float k_shrink = 0.18f;
static const float k_floor_share = 1e-3f; /* of the prior, that P never falls below */
static const float k_noise_rise = 0.85f;  /* smoothing of Psi upward, per block */
static const float k_noise_fall = 0.85f;
static const float k_noise_share = 0.5f;   /* of |E|^2 that Psi never falls below */
static const float k_noise_power = 1e-7f;  /* regularises S: |FFT|^2 far below 16 bit rounding */
static const int k_constrained_share = 18; /* one in so many partitions is constrained per block */

struct ae_kalman {
    ae_kalman_config config;
    ae_fft *fft;
    int bins, stride, rows;
    int used;             /* partitions of each channel */
    int next_constrained; /* partition */
    float *re, *im;    /* H: rows x stride; rows: each channel's partitions, then the branches' */
    float *covariance; /* P, the diagonal */
    float *cross_re, *cross_im; /* P12 of two channels: partitions x stride */
    float *prior;               /* per row */
    float *noise;               /* Psi */
    float *expected;            /* 1/2 sum |X|^2 P */
    float *sum_re, *sum_im;
    float *echo_re, *echo_im;          /* estimate of the newest block */
    float *inverse;                    /* 1 / S */
    float *error_mean, *expected_mean; /* smoothed |E|^2 and expected misadjustment */
    float *deflate;                    /* shrinkage of P per |X_p|^2 P_p */
    float *posterior;                  /* expected misadjustment after learning from the block */
    float *time;
};

/* Rows of the channels; the branches' follow. */
static int linear_rows(const ae_kalman *self)
{
    return self->config.channels * self->config.partitions;
}

static int is_used(const ae_kalman *self, int row)
{
    return row >= linear_rows(self) || row % self->config.partitions < self->used;
}

static int bins_of(const ae_kalman *self, int row)
{
    const int in_second = row - self->config.partitions; /* channel */
    const int partition = in_second >= 0 && row < linear_rows(self) ? in_second : row;
    return partition < self->config.full_partitions ? self->bins : self->config.low_bins;
}

/* First float of the far end's plane that a row works on. */
static int spectrum_of(const ae_kalman *self, const ae_far_spectra *far, int row)
{
    const int partitions = self->config.partitions, bent = row - linear_rows(self);
    if (row < partitions) return ae_far_spectra_at(far, 0, row);
    if (bent < 0) return ae_far_spectra_at(far, 1, row - partitions);
    const int branch_partitions = self->config.branch_partitions;
    return ae_far_spectra_bent_at(far, bent / branch_partitions, bent % branch_partitions);
}

static int cross_plane(const ae_kalman *self)
{
    return self->config.channels > 1 ? self->config.partitions * self->stride : 0;
}

static size_t lay_out(ae_kalman *self, void *memory)
{
    ae_arena arena = {memory, 0};
    const int plane = self->rows * self->stride;
    AE_TAKE(&arena, 1, ae_kalman);
    self->re = AE_TAKE(&arena, plane, float);
    self->im = AE_TAKE(&arena, plane, float);
    self->covariance = AE_TAKE(&arena, plane, float);
    self->cross_re = AE_TAKE(&arena, cross_plane(self), float);
    self->cross_im = AE_TAKE(&arena, cross_plane(self), float);
    self->prior = AE_TAKE(&arena, self->rows, float);
    self->noise = AE_TAKE(&arena, self->stride, float);
    self->expected = AE_TAKE(&arena, self->stride, float);
    self->sum_re = AE_TAKE(&arena, self->stride, float);
    self->sum_im = AE_TAKE(&arena, self->stride, float);
    self->echo_re = AE_TAKE(&arena, self->stride, float);
    self->echo_im = AE_TAKE(&arena, self->stride, float);
    self->inverse = AE_TAKE(&arena, self->stride, float);
    self->error_mean = AE_TAKE(&arena, self->stride, float);
    self->expected_mean = AE_TAKE(&arena, self->stride, float);
    self->deflate = AE_TAKE(&arena, self->stride, float);
    self->posterior = AE_TAKE(&arena, self->stride, float);
    self->time = AE_TAKE(&arena, self->config.fft_size, float);
    return arena.used;
}

ae_status ae_kalman_create(ae_kalman **out, const ae_kalman_config *config)
{
    *out = NULL;
    const int bins = config->fft_size / 2 + 1;
    if (config->channels < 1 || config->channels > AE_FAR_CHANNELS || config->block_frames < 8 ||
        config->fft_size < 2 * config->block_frames || config->partitions < 1 ||
        config->partitions > 256 || config->first_partitions < 1 ||
        config->first_partitions > config->partitions || config->full_partitions < 1 ||
        config->full_partitions > config->partitions || config->low_bins < 1 ||
        config->low_bins > bins || !(config->memory >= 0.9f && config->memory <= 1.0f))
        return AE_ERROR_ARGUMENT;
    ae_kalman shape = {.config = *config, .bins = bins, .stride = (bins + 15) & ~15};
    shape.rows =
        linear_rows(&shape) + AE_FAR_BRANCHES * config->channels * config->branch_partitions;
    const size_t bytes = lay_out(&shape, NULL);
    ae_kalman *self = ae_allocate(bytes);
    if (self == NULL) return AE_ERROR_MEMORY;
    *self = shape;
    lay_out(self, self);
    const ae_status status = ae_fft_create(&self->fft, config->fft_size);
    if (status != AE_OK) {
        ae_kalman_destroy(self);
        return status;
    }
    for (int r = 0; r < self->rows; r++) {
        const int bent = r - linear_rows(self), branch = bent >= 0;
        const int p = branch ? bent % config->branch_partitions : r % config->partitions;
        self->prior[r] = (branch ? k_branch_prior_power : k_prior_power) / (float)config->channels *
                         expf(-(float)p / k_prior_decay_blocks);
    }
    ae_kalman_reset(self);
    *out = self;
    return AE_OK;
}

void ae_kalman_destroy(ae_kalman *self)
{
    if (self == NULL) return;
    ae_fft_destroy(self->fft);
    ae_free(self);
}

void ae_kalman_reset(ae_kalman *self)
{
    const int plane = self->rows * self->stride;
    self->used = self->config.first_partitions;
    ae_zero(self->re, plane);
    ae_zero(self->im, plane);
    for (int p = 0; p < self->rows; p++)
        ae_fill(self->covariance + p * self->stride, self->prior[p], self->stride);
    ae_zero(self->cross_re, cross_plane(self));
    ae_zero(self->cross_im, cross_plane(self));
    ae_fill(self->noise, 1e-6f, self->stride);
    ae_zero(self->expected, self->stride);
    ae_zero(self->posterior, self->stride);
    ae_zero(self->echo_re, self->stride);
    ae_zero(self->echo_im, self->stride);
    ae_zero(self->error_mean, self->stride);
    ae_zero(self->expected_mean, self->stride);
    self->next_constrained = 0;
}

const float *ae_kalman_misadjustment(const ae_kalman *self) { return self->posterior; }

/* sum += X H, and expected += |X|^2 P, for one partition. */
static void accumulate(int bins, const float *restrict x_re, const float *restrict x_im,
                       const float *restrict h_re, const float *restrict h_im,
                       const float *restrict covariance, float *restrict sum_re,
                       float *restrict sum_im, float *restrict expected)
{
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float xr = x_re[k], xi = x_im[k];
        sum_re[k] += xr * h_re[k] - xi * h_im[k];
        sum_im[k] += xr * h_im[k] + xi * h_re[k];
        expected[k] += 0.5f * (xr * xr + xi * xi) * covariance[k];
    }
}

/* The time signal of sum_re, sum_im where it is no circular convolution. */
static void newest_block(ae_kalman *self, float *echo)
{
    const int block = self->config.block_frames;
    ae_fft_inverse(self->fft, self->sum_re, self->sum_im, self->time);
    ae_copy(echo, self->time + self->config.fft_size - block, block);
}

/* The same of two channels a and b, with X P X' for |X|^2 P. `x` and `h` say where the channels'
 * planes begin, in the far end's memory and in this filter's. */
static void accumulate_pair(int bins, const ae_far_spectra *far, const int *x,
                            const ae_kalman *self, const int *h, int cross)
{
    const float *restrict ar = far->re + x[0], *restrict ai = far->im + x[0];
    const float *restrict br = far->re + x[1], *restrict bi = far->im + x[1];
    const float *restrict har = self->re + h[0], *restrict hai = self->im + h[0];
    const float *restrict hbr = self->re + h[1], *restrict hbi = self->im + h[1];
    const float *restrict pa = self->covariance + h[0], *restrict pb = self->covariance + h[1];
    const float *restrict cr = self->cross_re + cross, *restrict ci = self->cross_im + cross;
    float *restrict sum_re = self->sum_re, *restrict sum_im = self->sum_im;
    float *restrict expected = self->expected;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        sum_re[k] += ar[k] * har[k] - ai[k] * hai[k] + br[k] * hbr[k] - bi[k] * hbi[k];
        sum_im[k] += ar[k] * hai[k] + ai[k] * har[k] + br[k] * hbi[k] + bi[k] * hbr[k];
        const float own =
            (ar[k] * ar[k] + ai[k] * ai[k]) * pa[k] + (br[k] * br[k] + bi[k] * bi[k]) * pb[k];
        const float both =
            cr[k] * (ar[k] * br[k] + ai[k] * bi[k]) - ci[k] * (ai[k] * br[k] - ar[k] * bi[k]);
        const float power = 0.5f * own + both;
        expected[k] += power > 0.0f ? power : 0.0f;
    }
}

static void accumulate_pairs(ae_kalman *self, const ae_far_spectra *far)
{
    const int partitions = self->config.partitions, stride = self->stride;
    for (int p = 0; p < self->used; p++) {
        const int x[2] = {ae_far_spectra_at(far, 0, p), ae_far_spectra_at(far, 1, p)};
        const int h[2] = {p * stride, (partitions + p) * stride};
        accumulate_pair(bins_of(self, p), far, x, self, h, p * stride);
    }
}

void ae_kalman_predict(ae_kalman *self, const ae_far_spectra *far, float *echo)
{
    ae_zero(self->sum_re, self->bins);
    ae_zero(self->sum_im, self->bins);
    ae_zero(self->expected, self->bins);
    const int rows = far->branch_partitions > 0 ? self->rows : linear_rows(self);
    const int pairs = self->config.channels > 1;
    if (pairs) accumulate_pairs(self, far);
    for (int p = pairs ? linear_rows(self) : 0; p < rows; p++) {
        if (!is_used(self, p)) continue;
        const int x = spectrum_of(self, far, p), h = p * self->stride;
        accumulate(bins_of(self, p), far->re + x, far->im + x, self->re + h, self->im + h,
                   self->covariance + h, self->sum_re, self->sum_im, self->expected);
    }
    ae_copy(self->echo_re, self->sum_re, self->bins);
    ae_copy(self->echo_im, self->sum_im, self->bins);
    newest_block(self, echo);
}

/* Psi follows what the expected misadjustment does not explain; inverse = 1 / S. Where the error is
 * smaller than the misadjustment it should hold, the covariance is too large: deflate it. */
static void track_noise(ae_kalman *self, const float *restrict error_re,
                        const float *restrict error_im)
{
    const float *restrict expected = self->expected;
    float *restrict noise = self->noise, *restrict inverse = self->inverse;
    float *restrict error_mean = self->error_mean, *restrict expected_mean = self->expected_mean;
    float *restrict deflate = self->deflate, *restrict posterior = self->posterior;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float power = error_re[k] * error_re[k] + error_im[k] * error_im[k];
        const float unexplained = power - expected[k], least = k_noise_share * power;
        const float now = unexplained > least ? unexplained : least;
        const float keep = now > noise[k] ? k_noise_rise : k_noise_fall;
        noise[k] = keep * noise[k] + (1.0f - keep) * now;
        inverse[k] = 1.0f / (expected[k] + noise[k] + k_noise_power);
        posterior[k] = expected[k] * noise[k] * inverse[k];
        error_mean[k] += k_mean_rate * (power - error_mean[k]);
        expected_mean[k] += k_mean_rate * (expected[k] - expected_mean[k]);
        const float excess = expected_mean[k] - k_excess * error_mean[k];
        const float share = excess > 0.0f ? k_deflate * excess / (expected_mean[k] + 1e-20f) : 0.0f;
        deflate[k] = k_shrink * inverse[k] + 0.5f * share / (expected[k] + 1e-20f);
    }
}

/* One partition's state: measurement update, then prediction of the next block. */
static void step_state(int bins, const float *restrict x_re, const float *restrict x_im,
                       const float *restrict error_re, const float *restrict error_im,
                       const float *restrict inverse, const float *restrict deflate, float memory,
                       float floor_power, float *restrict h_re, float *restrict h_im,
                       float *restrict covariance)
{
    const float memory2 = memory * memory, forget = 1.0f - memory2, step = k_step * memory;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float xr = x_re[k], xi = x_im[k], er = error_re[k], ei = error_im[k];
        const float gain = covariance[k] * inverse[k];
        const float shrink = 1.0f - covariance[k] * deflate[k] * (xr * xr + xi * xi);
        const float hr = memory * h_re[k] + step * gain * (xr * er + xi * ei);
        const float hi = memory * h_im[k] + step * gain * (xr * ei - xi * er);
        h_re[k] = hr;
        h_im[k] = hi;
        covariance[k] = memory2 * covariance[k] * (shrink > 0.0f ? shrink : 0.0f) +
                        forget * (hr * hr + hi * hi + floor_power);
    }
}

/* The same of two channels: with K = P X' it is H += 0.57 A K E / S and P -= deflate K K', so that
 * what correlated channels do not show (which of the two paths it was) stays unknown. */
static void step_pair(ae_kalman *self, int bins, const ae_far_spectra *far, const int *x,
                      const int *h, int cross, float floor_power)
{
    const float *restrict ar = far->re + x[0], *restrict ai = far->im + x[0];
    const float *restrict br = far->re + x[1], *restrict bi = far->im + x[1];
    const float *restrict error_re = self->sum_re, *restrict error_im = self->sum_im;
    const float *restrict inverse = self->inverse, *restrict deflate = self->deflate;
    float *restrict har = self->re + h[0], *restrict hai = self->im + h[0];
    float *restrict hbr = self->re + h[1], *restrict hbi = self->im + h[1];
    float *restrict pa = self->covariance + h[0], *restrict pb = self->covariance + h[1];
    float *restrict cr = self->cross_re + cross, *restrict ci = self->cross_im + cross;
    const float memory = self->config.memory, memory2 = memory * memory, forget = 1.0f - memory2;
    const float cross_keep = (float)((double)memory2 * k_cross_keep);
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        /* K = P X' */
        const float kar = pa[k] * ar[k] + cr[k] * br[k] + ci[k] * bi[k];
        const float kai = -pa[k] * ai[k] + ci[k] * br[k] - cr[k] * bi[k];
        const float kbr = pb[k] * br[k] + cr[k] * ar[k] - ci[k] * ai[k];
        const float kbi = -pb[k] * bi[k] - ci[k] * ar[k] - cr[k] * ai[k];
        const float er = k_step * memory * inverse[k] * error_re[k];
        const float ei = k_step * memory * inverse[k] * error_im[k];
        const float nar = memory * har[k] + kar * er - kai * ei;
        const float nai = memory * hai[k] + kar * ei + kai * er;
        const float nbr = memory * hbr[k] + kbr * er - kbi * ei;
        const float nbi = memory * hbi[k] + kbr * ei + kbi * er;
        const float la = pa[k] - deflate[k] * (kar * kar + kai * kai);
        const float lb = pb[k] - deflate[k] * (kbr * kbr + kbi * kbi);
        pa[k] = memory2 * (la > 0.0f ? la : 0.0f) + forget * (nar * nar + nai * nai + floor_power);
        pb[k] = memory2 * (lb > 0.0f ? lb : 0.0f) + forget * (nbr * nbr + nbi * nbi + floor_power);
        cr[k] = cross_keep * (cr[k] - deflate[k] * (kar * kbr + kai * kbi));
        ci[k] = cross_keep * (ci[k] - deflate[k] * (kai * kbr - kar * kbi));
        har[k] = nar;
        hai[k] = nai;
        hbr[k] = nbr;
        hbi[k] = nbi;
    }
}

static void step_pairs(ae_kalman *self, const ae_far_spectra *far)
{
    const int partitions = self->config.partitions, stride = self->stride;
    for (int p = 0; p < self->used; p++) {
        const int x[2] = {ae_far_spectra_at(far, 0, p), ae_far_spectra_at(far, 1, p)};
        const int h[2] = {p * stride, (partitions + p) * stride};
        step_pair(self, bins_of(self, p), far, x, h, p * stride, self->prior[p] * k_floor_share);
    }
}

/* Zero the part of one partition's impulse response that lies beyond its block. Returns whether the
 * rest is within bounds. */
static int constrain(ae_kalman *self, int row)
{
    const int bins = bins_of(self, row), block = self->config.block_frames;
    float *re = self->re + row * self->stride, *im = self->im + row * self->stride;
    ae_fft_inverse(self->fft, re, im, self->time);
    const float energy = ae_energy(self->time, block);
    ae_zero(self->time + block, self->config.fft_size - block);
    ae_fft_forward(self->fft, self->time, self->sum_re, self->sum_im);
    ae_copy(re, self->sum_re, bins);
    ae_copy(im, self->sum_im, bins);
    return energy <= k_most_energy; /* false for a NaN, too */
}

/* sum_re, sum_im: in the error's spectrum, out the echo estimate's after learning from it. */
static void learned_echo(ae_kalman *self, float *posterior_echo)
{
    const float memory = self->config.memory, step = 2.0f * k_step * memory;
    const float *restrict expected = self->expected, *restrict inverse = self->inverse;
    const float *restrict echo_re = self->echo_re, *restrict echo_im = self->echo_im;
    float *restrict re = self->sum_re, *restrict im = self->sum_im;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float gain = step * expected[k] * inverse[k];
        re[k] = memory * echo_re[k] + gain * re[k];
        im[k] = memory * echo_im[k] + gain * im[k];
    }
    newest_block(self, posterior_echo);
}

int ae_kalman_adapt(ae_kalman *self, const ae_far_spectra *far, const float *error,
                    float *posterior_echo)
{
    const int block = self->config.block_frames, rows = self->rows;
    ae_zero(self->time, self->config.fft_size - block);
    ae_copy(self->time + self->config.fft_size - block, error, block);
    ae_fft_forward(self->fft, self->time, self->sum_re, self->sum_im);
    track_noise(self, self->sum_re, self->sum_im);
    const int pairs = self->config.channels > 1;
    if (pairs) step_pairs(self, far);
    for (int p = pairs ? linear_rows(self) : 0; p < rows; p++) {
        if (!is_used(self, p)) continue;
        const int x = spectrum_of(self, far, p), h = p * self->stride;
        step_state(bins_of(self, p), far->re + x, far->im + x, self->sum_re, self->sum_im,
                   self->inverse, self->deflate, self->config.memory,
                   self->prior[p] * k_floor_share, self->re + h, self->im + h,
                   self->covariance + h);
    }
    if (posterior_echo != NULL) learned_echo(self, posterior_echo);
    const int count = (rows + k_constrained_share - 1) / k_constrained_share;
    int bounded = 1;
    for (int i = 0; i < count; i++) {
        if (is_used(self, self->next_constrained))
            bounded &= constrain(self, self->next_constrained);
        self->next_constrained = (self->next_constrained + 1) % rows;
    }
    if (!bounded) ae_kalman_reset(self);
    return !bounded;
}

static void clear_partition(ae_kalman *self, int partition)
{
    for (int c = 0; c < self->config.channels; c++) {
        const int at = (c * self->config.partitions + partition) * self->stride;
        ae_zero(self->re + at, self->stride);
        ae_zero(self->im + at, self->stride);
        ae_fill(self->covariance + at, self->prior[partition], self->stride);
    }
    if (self->config.channels == 1) return;
    ae_zero(self->cross_re + partition * self->stride, self->stride);
    ae_zero(self->cross_im + partition * self->stride, self->stride);
}

void ae_kalman_grow(ae_kalman *self)
{
    for (int p = self->used; p < self->config.partitions; p++) clear_partition(self, p);
    self->used = self->config.partitions;
}

float ae_kalman_tail_share(const ae_kalman *self)
{
    if (self->used == self->config.partitions) return 0.0f;
    float all = 1e-20f, tail = 0.0f;
    for (int p = 0; p < self->used; p++) {
        const int at = p * self->stride, bins = self->config.low_bins;
        const float energy = ae_energy(self->re + at, bins) + ae_energy(self->im + at, bins);
        all += energy;
        if (4 * (p + 1) > 3 * self->used) tail += energy;
    }
    return tail / all;
}

void ae_kalman_copy_path(ae_kalman *self, const ae_kalman *from)
{
    const int plane = self->rows * self->stride;
    ae_copy(self->re, from->re, plane);
    ae_copy(self->im, from->im, plane);
    self->used = from->used;
}

/* Two channels: of each covariance matrix the one with the larger trace, whole. */
static void adopt_pairs(ae_kalman *self, const ae_kalman *from)
{
    const int plane = cross_plane(self);
    float *pa = self->covariance, *pb = pa + plane;
    const float *qa = from->covariance, *qb = qa + plane;
    for (int i = 0; i < plane; i++) {
        if (qa[i] + qb[i] <= pa[i] + pb[i]) continue;
        pa[i] = qa[i];
        pb[i] = qb[i];
        self->cross_re[i] = from->cross_re[i];
        self->cross_im[i] = from->cross_im[i];
    }
}

void ae_kalman_adopt(ae_kalman *self, const ae_kalman *from)
{
    const int plane = self->rows * self->stride;
    ae_kalman_copy_path(self, from);
    if (self->config.channels > 1) adopt_pairs(self, from);
    for (int i = self->config.channels > 1 ? 2 * cross_plane(self) : 0; i < plane; i++)
        if (from->covariance[i] > self->covariance[i]) self->covariance[i] = from->covariance[i];
}

static void move_row(ae_kalman *self, int to, int from)
{
    const int t = to * self->stride, f = from * self->stride;
    ae_copy(self->re + t, self->re + f, self->stride);
    ae_copy(self->im + t, self->im + f, self->stride);
    if (bins_of(self, to) == self->bins) return;
    ae_zero(self->re + t + self->config.low_bins, self->stride - self->config.low_bins);
    ae_zero(self->im + t + self->config.low_bins, self->stride - self->config.low_bins);
}

/* The covariance keeps its distance from the prior of its place. */
static void move_partition(ae_kalman *self, int to, int from)
{
    const int t = to * self->stride, f = from * self->stride;
    const float ratio = self->prior[to] / self->prior[from];
    move_row(self, to, from);
    if (self->config.channels == 1) {
        for (int k = 0; k < self->stride; k++)
            self->covariance[t + k] = fminf(ratio * self->covariance[f + k], self->prior[to]);
        return;
    }
    move_row(self, self->config.partitions + to, self->config.partitions + from);
    float *pa = self->covariance, *pb = pa + cross_plane(self);
    for (int k = 0; k < self->stride; k++) {
        const float largest = fmaxf(pa[f + k], pb[f + k]);
        const float factor = fminf(ratio, self->prior[to] / (largest + 1e-20f));
        pa[t + k] = factor * pa[f + k];
        pb[t + k] = factor * pb[f + k];
        self->cross_re[t + k] = factor * self->cross_re[f + k];
        self->cross_im[t + k] = factor * self->cross_im[f + k];
    }
}

void ae_kalman_shift(ae_kalman *self, int blocks)
{
    const int partitions = self->config.partitions;
    if (blocks > 0)
        for (int p = 0; p < partitions; p++)
            p + blocks < partitions ? move_partition(self, p, p + blocks)
                                    : clear_partition(self, p);
    if (blocks < 0)
        for (int p = partitions - 1; p >= 0; p--)
            p + blocks >= 0 ? move_partition(self, p, p + blocks) : clear_partition(self, p);
}

/* Two channels: the smaller eigenvalue is raised to the share. */
static void doubt_pair(ae_kalman *self, int partition, float least)
{
    const int at = partition * self->stride;
    float *pa = self->covariance + at, *pb = pa + cross_plane(self);
    const float *cr = self->cross_re + at, *ci = self->cross_im + at;
    for (int k = 0; k < self->stride; k++) {
        const float mean = 0.5f * (pa[k] + pb[k]), half = 0.5f * (pa[k] - pb[k]);
        const float smaller = mean - sqrtf(half * half + cr[k] * cr[k] + ci[k] * ci[k]);
        if (smaller >= least) continue;
        pa[k] += least - smaller;
        pb[k] += least - smaller;
    }
}

void ae_kalman_doubt(ae_kalman *self, float share)
{
    const int pairs = self->config.channels > 1;
    for (int p = 0; pairs && p < self->config.partitions; p++)
        doubt_pair(self, p, share * self->prior[p]);
    for (int p = pairs ? linear_rows(self) : 0; p < self->rows; p++) {
        float *covariance = self->covariance + p * self->stride;
        const float least = share * self->prior[p];
        for (int k = 0; k < self->stride; k++)
            if (covariance[k] < least) covariance[k] = least;
    }
}

void ae_kalman_shrink(ae_kalman *self, float factor)
{
    const int plane = self->rows * self->stride;
    const float lost = (1.0f - factor) * (1.0f - factor);
#pragma omp simd
    for (int i = 0; i < plane; i++) {
        self->covariance[i] += lost * (self->re[i] * self->re[i] + self->im[i] * self->im[i]);
        self->re[i] *= factor;
        self->im[i] *= factor;
    }
}

/* Partitions with a P12. */
static int pairs_of(const ae_kalman *self)
{
    return self->config.channels > 1 ? self->config.partitions : 0;
}

int ae_kalman_state_floats(const ae_kalman *self)
{
    int count = 0;
    for (int p = 0; p < self->rows; p++) count += 3 * bins_of(self, p);
    for (int p = 0; p < pairs_of(self); p++) count += 2 * bins_of(self, p);
    return count;
}

void ae_kalman_write_state(const ae_kalman *self, float *to)
{
    for (int p = 0; p < self->rows; p++) {
        const int at = p * self->stride, bins = bins_of(self, p);
        ae_copy(to, self->re + at, bins);
        ae_copy(to + bins, self->im + at, bins);
        ae_copy(to + 2 * bins, self->covariance + at, bins);
        to += 3 * bins;
    }
    for (int p = 0; p < pairs_of(self); p++) {
        const int at = p * self->stride, bins = bins_of(self, p);
        ae_copy(to, self->cross_re + at, bins);
        ae_copy(to + bins, self->cross_im + at, bins);
        to += 2 * bins;
    }
}

/* |P12|^2 <= P11 P22, but for rounding. `from`: the rows of a state, `cross`: what follows them. */
static int pairs_are_sound(const ae_kalman *self, const float *from, const float *cross)
{
    int to_second = 0; /* floats between the two rows of a partition */
    for (int p = 0; p < pairs_of(self); p++) to_second += 3 * bins_of(self, p);
    for (int p = 0; p < pairs_of(self); p++) {
        const int bins = bins_of(self, p);
        const float *pa = from + 2 * bins, *pb = pa + to_second;
        const float *cr = cross, *ci = cross + bins;
        for (int k = 0; k < bins; k++) /* false for a NaN, too */
            if (!(cr[k] * cr[k] + ci[k] * ci[k] <= k_most_cross * pa[k] * pb[k])) return 0;
        from += 3 * bins;
        cross += 2 * bins;
    }
    return 1;
}

/* The bounds are those of `constrain`: an impulse response of that energy over a block has at most
 * so much power in a bin (Cauchy-Schwarz), and no covariance is larger than the largest path. */
int ae_kalman_state_is_sound(ae_kalman *self, const float *from)
{
    const float most_power = k_most_energy * (float)self->config.block_frames;
    const float *rows = from;
    for (int p = 0; p < self->rows; p++) {
        const int bins = bins_of(self, p);
        const float *re = from, *im = from + bins, *covariance = from + 2 * bins;
        for (int k = 0; k < bins; k++) /* false for a NaN, too */
            if (!(re[k] * re[k] + im[k] * im[k] <= most_power && covariance[k] >= 0.0f &&
                  covariance[k] <= most_power))
                return 0;
        ae_zero(self->sum_re, self->bins);
        ae_zero(self->sum_im, self->bins);
        ae_copy(self->sum_re, re, bins);
        ae_copy(self->sum_im, im, bins);
        ae_fft_inverse(self->fft, self->sum_re, self->sum_im, self->time);
        if (!(ae_energy(self->time, self->config.fft_size) <= k_most_energy)) return 0;
        from += 3 * bins;
    }
    return pairs_are_sound(self, rows, from);
}

void ae_kalman_read_state(ae_kalman *self, const float *from)
{
    ae_kalman_reset(self);
    for (int p = 0; p < self->rows; p++) {
        const int at = p * self->stride, bins = bins_of(self, p);
        ae_copy(self->re + at, from, bins);
        ae_copy(self->im + at, from + bins, bins);
        ae_copy(self->covariance + at, from + 2 * bins, bins);
        if (!is_used(self, p) && ae_energy(from, bins) > 0.0f) self->used = self->config.partitions;
        from += 3 * bins;
    }
    for (int p = 0; p < pairs_of(self); p++) {
        const int at = p * self->stride, bins = bins_of(self, p);
        ae_copy(self->cross_re + at, from, bins);
        ae_copy(self->cross_im + at, from + bins, bins);
        from += 2 * bins;
    }
}
