/* Truth: through a wire of a graph the output is the input, one block late, however it is cut; a
 * missing input is silence; in place equals out of place. */
#include "ae_reblock.h"

#include "ae_math.h"
#include "ae_test.h"

#include <string.h>

enum { k_frames = 5000, k_channels = 2 };

static ae_graph *make_wire(int rate)
{
    static const int channels[] = {k_channels, 1}, inputs[] = {0, 1}, outputs[] = {0, 1};
    const ae_graph_config config = {rate, 2, channels, 2, inputs, 2, outputs, 0, NULL};
    ae_graph *graph;
    CHECK(ae_graph_create(&graph, &config) == AE_OK);
    return graph;
}

static void run(const float *stereo, const float *mono, float *stereo_out, float *mono_out, int cut,
                int rate)
{
    ae_graph *graph = make_wire(rate);
    ae_reblock *reblock;
    CHECK(ae_reblock_create(&reblock, graph) == AE_OK);
    const int delay = ae_reblock_latency_frames(reblock);
    CHECK(delay == ae_block_frames(rate));
    uint32_t seed = 9;
    for (int n = 0; n < k_frames;) {
        int now = cut > 0 ? cut : 1 + (int)(700.0f * fabsf(ae_random(&seed)));
        now = now < k_frames - n ? now : k_frames - n;
        const float *in[] = {stereo + (size_t)n * k_channels, mono == NULL ? NULL : mono + n};
        float *out[] = {stereo_out + (size_t)n * k_channels, mono_out + n};
        ae_reblock_process(reblock, in, out, now);
        n += now;
    }
    ae_reblock_destroy(reblock);
    ae_graph_destroy(graph);
}

int main(void)
{
    static float stereo[k_frames * k_channels], mono[k_frames], a[k_frames * k_channels],
        b[k_frames];
    uint32_t seed = 4;
    for (int n = 0; n < k_frames * k_channels; n++) stereo[n] = ae_random(&seed);
    for (int n = 0; n < k_frames; n++) mono[n] = ae_random(&seed);
    const int cuts[] = {1, 7, 160, 480, 4800, 0, k_frames};
    const int rates[] = {8000, 22050, 44100, 48000};
    for (int r = 0; r < 4; r++) {
        const int delay = ae_block_frames(rates[r]);
        for (int i = 0; i < 7; i++) {
            run(stereo, mono, a, b, cuts[i], rates[r]);
            CHECK(ae_energy(a, delay * k_channels) == 0.0f && ae_energy(b, delay) == 0.0f);
            CHECK(memcmp(a + delay * k_channels, stereo,
                         sizeof(float) * (size_t)((k_frames - delay) * k_channels)) == 0);
            CHECK(memcmp(b + delay, mono, sizeof(float) * (size_t)(k_frames - delay)) == 0);
            run(stereo, NULL, a, b, cuts[i], rates[r]);
            CHECK(ae_energy(b, k_frames) == 0.0f);
        }
        memcpy(a, stereo, sizeof a);
        memcpy(b, mono, sizeof b);
        run(a, b, a, b, 333, rates[r]);
        CHECK(memcmp(a + delay * k_channels, stereo,
                     sizeof(float) * (size_t)((k_frames - delay) * k_channels)) == 0);
    }
    ae_reblock *none;
    CHECK(ae_reblock_create(&none, NULL) == AE_ERROR_ARGUMENT && none == NULL);
    ae_reblock_destroy(NULL);
    return AE_TEST_RESULT();
}
