/* Truth: a known echo path that the filter has learned, put behind another bulk delay. */
#include "ae_echo_align.h"

#include "ae_math.h"
#include "ae_test.h"

enum { k_rate = 16000, k_block = 160, k_fft = 320, k_partitions = 4, k_taps = 400 };
enum { k_max_delay = 4000, k_past = k_max_delay + 2 * k_taps, k_early = 60 };
static const ae_kalman_config k_filter = {.channels = 1,
                                          .block_frames = k_block,
                                          .fft_size = k_fft,
                                          .partitions = k_partitions,
                                          .first_partitions = k_partitions,
                                          .full_partitions = k_partitions,
                                          .low_bins = k_fft / 2 + 1,
                                          .memory = 0.9999f};

typedef struct {
    ae_echo_align *align;
    ae_far_end *far;
    ae_kalman *filter;
    uint32_t seed;
    float past[k_past + k_block]; /* far end, oldest first */
    float path[k_taps];           /* begins k_early frames in */
    int delay;                    /* of the path */
    float capture[k_block];
    float error_energy;
} rig;

static void make_path(float *path, uint32_t seed)
{
    for (int i = 0; i < k_taps; i++)
        path[i] =
            i < k_early ? 0.0f : 0.3f * ae_random(&seed) * expf(-(float)(i - k_early) / 60.0f);
    path[k_early] = 0.4f;
}

static rig make(int delay)
{
    const ae_far_end_config far = {.channels = 1,
                                   .block_frames = k_block,
                                   .fft_size = k_fft,
                                   .partitions = k_partitions,
                                   .max_delay_frames = k_max_delay,
                                   .extra_blocks = 2 * AE_ECHO_ALIGN_BLOCKS};
    rig self = {.seed = 11, .delay = delay};
    const ae_echo_align_config align = {k_rate, k_filter};
    CHECK(ae_echo_align_create(&self.align, &align) == AE_OK);
    CHECK(ae_far_end_create(&self.far, &far) == AE_OK);
    CHECK(ae_kalman_create(&self.filter, &k_filter) == AE_OK);
    make_path(self.path, 3);
    return self;
}

static void destroy(rig *self)
{
    ae_echo_align_destroy(self->align);
    ae_far_end_destroy(self->far);
    ae_kalman_destroy(self->filter);
}

/* One block of noise through the path and the running filter. */
static void hear(rig *self)
{
    float *fresh = self->past + k_past, echo[k_block], error[k_block];
    memmove(self->past, self->past + k_block, sizeof(float) * k_past);
    for (int i = 0; i < k_block; i++) fresh[i] = 0.3f * ae_random(&self->seed);
    for (int i = 0; i < k_block; i++) {
        float sum = 1e-4f * ae_random(&self->seed);
        for (int j = k_early; j < k_taps; j++) sum += self->path[j] * fresh[i - j - self->delay];
        self->capture[i] = sum;
    }
    ae_far_end_push(self->far, (const float *[]){fresh});
    ae_kalman_predict(self->filter, ae_far_end_spectra(self->far), echo);
    for (int i = 0; i < k_block; i++) error[i] = self->capture[i] - echo[i];
    self->error_energy = ae_energy(error, k_block);
    ae_kalman_adapt(self->filter, ae_far_end_spectra(self->far), error, NULL);
}

typedef struct {
    int at; /* step that asked for a move, -1: none did */
    double delay;
    const ae_kalman *remembered;
} move;

/* `count` blocks with one finding that stays, or, when `repeated`, with a finding every block. */
static move listen(rig *self, int count, int accepted, double lag, int repeated)
{
    move found = {-1, 0.0, NULL};
    for (int i = 0; i < count && found.at < 0; i++) {
        hear(self);
        if (ae_echo_align_step(self->align, self->far, self->capture, self->error_energy,
                               accepted + (repeated ? i : 0), lag, &found.delay, &found.remembered))
            found.at = i;
    }
    return found;
}

/* A filter that has learned the path at delay 320 and is remembered. */
static rig learned(void)
{
    rig self = make(320);
    ae_far_end_set_delay(self.far, 320.0);
    CHECK(listen(&self, 150, 1, 320.0 + k_early, 0).at < 0); /* well placed: stays */
    CHECK(self.error_energy < 1e-3f * ae_energy(self.capture, k_block));
    ae_echo_align_remember(self.align, self.filter, 320.0, 320.0 + k_early);
    return self;
}

/* The bulk delay jumps and the finder is a frame off: the remembered path is put there, to the
 * sample, and cancels at once. */
static void test_a_jump_is_followed_to_the_sample(void)
{
    static const int jumps[] = {-300, -41, 37, 500, 3001};
    for (int j = 0; j < 5; j++) {
        rig self = learned();
        self.delay += jumps[j];
        CHECK(listen(&self, 2 * AE_ECHO_ALIGN_BLOCKS, 1, 320.0 + k_early, 0).at < 0);
        const uint64_t allocations = ae_allocation_count();
        const move found = listen(&self, 10, 2, (double)(self.delay + k_early + j - 2), 0);
        CHECK(ae_allocation_count() == allocations);
        CHECK(found.at == 4 && found.remembered != NULL); /* spread over five blocks */
        CHECK(found.delay == (double)self.delay);
        if (found.remembered != NULL) {
            ae_far_end_set_delay(self.far, found.delay);
            ae_kalman_copy_path(self.filter, found.remembered);
            hear(&self);
            CHECK(self.error_energy < 1e-3f * ae_energy(self.capture, k_block));
        }
        destroy(&self);
    }
}

/* A lag where there is no echo: the trial fails, the running filter keeps its place. */
static void test_a_wrong_lag_moves_nothing(void)
{
    rig self = learned();
    CHECK(listen(&self, 120, 2, 1500.0, 0).at < 0);
    destroy(&self);
}

/* A path of another session is tried at the first lag found, even one that is nearly the same; when
 * that fails, the filter is placed as if nothing were remembered. */
static void test_a_doubted_path_is_tried_at_once(void)
{
    rig self = learned();
    CHECK(ae_echo_align_has_learned(self.align));
    ae_echo_align_doubt(self.align);
    CHECK(!ae_echo_align_has_learned(self.align));
    self.delay += 3; /* far below what would count as another lag */
    CHECK(listen(&self, 2 * AE_ECHO_ALIGN_BLOCKS, 0, -1.0, 0).at < 0);
    move found = listen(&self, 10, 1, 333.0 + k_early, 0); /* 10 off */
    CHECK(found.at == 4 && found.remembered != NULL && found.delay == 323.0);
    CHECK(ae_echo_align_has_learned(self.align));
    destroy(&self);

    self = learned();
    ae_echo_align_doubt(self.align);
    make_path(self.path, 99);
    self.delay = 2000;
    CHECK(listen(&self, 2 * AE_ECHO_ALIGN_BLOCKS, 0, -1.0, 0).at < 0);
    found = listen(&self, 10, 1, 2000.0 + k_early, 0);
    CHECK(found.at == 5 && found.remembered == NULL); /* at once after the trial */
    destroy(&self);
    self = make(320);
    ae_echo_align_doubt(self.align); /* nothing is remembered: nothing to doubt */
    CHECK(!ae_echo_align_has_learned(self.align));
    CHECK(listen(&self, 3, 1, 2000.0 + k_early, 0).remembered == NULL);
    destroy(&self);
}

/* The bulk delay has drifted, and with it what is remembered; a jump after that is still exact. */
static void test_what_is_remembered_drifts_along(void)
{
    rig self = learned();
    ae_echo_align_drift(self.align, 700.0);
    ae_far_end_set_delay(self.far, 1020.0);
    self.delay = 1020;
    CHECK(listen(&self, 60, 2, 1020.0 + k_early, 0).at < 0);
    self.delay = 1251;
    CHECK(listen(&self, 2 * AE_ECHO_ALIGN_BLOCKS, 2, 1020.0 + k_early, 0).at < 0);
    const move found = listen(&self, 10, 3, 1251.0 + k_early, 0);
    CHECK(found.at == 4 && found.remembered != NULL && found.delay == 1251.0);
    destroy(&self);
}

/* A filter that never worked is shifted by whole blocks, so that the first arrival lies 2 .. 25 ms
 * inside; so is one that worked, after a second of agreement. */
static void test_a_badly_placed_filter_is_shifted(void)
{
    for (int delay = 0; delay < 3500; delay += 233) {
        rig self = make(delay);
        const double lag = (double)(delay + k_early);
        const move found = listen(&self, 3, 1, lag, 0);
        const double inside = lag - (found.at < 0 ? 0.0 : found.delay), ms = k_rate * 0.001;
        CHECK(found.remembered == NULL && fmod(found.delay, k_block) == 0.0);
        CHECK(found.at <= 0 && inside <= 25.0 * ms && (inside >= 2.0 * ms || found.delay == 0.0));
        destroy(&self);
    }
    rig self = learned();
    make_path(self.path, 99); /* another room elsewhere: the trial cannot help */
    self.delay = 2000;
    const move found = listen(&self, 60, 2, 2000.0 + k_early, 1);
    CHECK(found.at >= 20 && found.at <= 40 && found.remembered == NULL);
    CHECK(found.delay > 2000.0 + k_early - 25.0 * 16.0 && found.delay <= 2000.0 + k_early);
    destroy(&self);
}

static void test_reset_is_new_and_bad_weather(void)
{
    rig used = learned(), fresh = make(320);
    const uint64_t allocations = ae_allocation_count();
    double delay;
    const ae_kalman *remembered;
    float block[k_block];
    for (int t = 0; t < 500; t++) {
        for (int i = 0; i < k_block; i++) block[i] = (i + t) % 2 ? 64.0f : t % 9 ? -64.0f : 1e-40f;
        ae_far_end_push(used.far, (const float *[]){block});
        ae_echo_align_step(used.align, used.far, block, t % 3 ? 1e6f : 0.0f, t,
                           (double)(t / 7 % 9) * 700.0 - 300.0, &delay, &remembered);
        CHECK(delay >= 0.0 && delay <= k_max_delay);
    }
    ae_echo_align_reset(used.align);
    ae_far_end_reset(used.far);
    ae_kalman_reset(used.filter);
    memcpy(used.past, fresh.past, sizeof used.past);
    used.seed = fresh.seed;
    used.delay = fresh.delay = 700;
    for (int i = 0; i < 140; i++) { /* a shift, a jump found too early, and its second trial */
        const double lag = (i < 60 ? 700.0 : 1300.0) + k_early;
        const move a = listen(&used, 1, 1 + i / 60, lag, 0);
        const move b = listen(&fresh, 1, 1 + i / 60, lag, 0);
        CHECK(a.at == b.at && a.delay == b.delay && !a.remembered == !b.remembered);
        if (a.at == 0) ae_far_end_set_delay(used.far, a.delay);
        if (b.at == 0) ae_far_end_set_delay(fresh.far, b.delay);
        if (i == 50) ae_echo_align_remember(used.align, used.filter, a.delay, lag);
        if (i == 50) ae_echo_align_remember(fresh.align, fresh.filter, b.delay, lag);
        CHECK(i > 0 || b.at == 0);
        if (i == 60) used.delay = fresh.delay = 1300;
    }
    CHECK(ae_far_end_delay(used.far) == 1240.0); /* 600 further than the shift put it */
    CHECK(ae_far_end_delay(used.far) == ae_far_end_delay(fresh.far));
    CHECK(ae_allocation_count() == allocations);
    destroy(&used);
    destroy(&fresh);
}

static void test_create_passes_errors_on(void)
{
    ae_echo_align *self = (ae_echo_align *)&k_filter;
    ae_echo_align_config config = {k_rate, k_filter};
    config.kalman.memory = NAN;
    CHECK(ae_echo_align_create(&self, &config) == AE_ERROR_ARGUMENT && self == NULL);
    ae_echo_align_destroy(NULL);
}

int main(void)
{
    test_create_passes_errors_on();
    test_a_jump_is_followed_to_the_sample();
    test_a_wrong_lag_moves_nothing();
    test_a_doubted_path_is_tried_at_once();
    test_what_is_remembered_drifts_along();
    test_a_badly_placed_filter_is_shifted();
    test_reset_is_new_and_bad_weather();
    return AE_TEST_RESULT();
}
