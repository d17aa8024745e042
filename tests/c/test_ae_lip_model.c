/* Truths: the built-in models are what their names say; each broken field is refused. */
#include <math.h>
#include <string.h>

#include "ae_lip_model.h"
#include "ae_test.h"

static void test_built_in(void)
{
    for (int signals = 1; signals <= 6; signals += 5) {
        const ae_lip_model *models[] = {ae_lip_model_trained(signals),
                                        ae_lip_model_untrained(signals)};
        for (int m = 0; m < 2; m++) {
            CHECK(models[m] != NULL && models[m]->mouth_signals == signals);
            CHECK(ae_lip_model_is_valid(models[m]));
            CHECK(models[m]->motion == (signals == 6 ? 5 : -1));
        }
    }
    CHECK(ae_lip_model_trained(3) == NULL && ae_lip_model_untrained(0) == NULL);
}

/* By hand: a speed is antisymmetric in time, and no pair hears a constant in all bands as a
 * formant. */
static void test_by_hand(void)
{
    const ae_lip_model *hand = ae_lip_model_untrained(1);
    CHECK(hand->components == 2 && hand->mouth_taps == 3 && hand->audio_taps == 3);
    const float *formant = hand->audio + (3 + 1) * AE_LIP_FEATURES;
    float sum = 0.0f;
    for (int b = 0; b < AE_LIP_FEATURES; b++) {
        CHECK(hand->audio[b] == -hand->audio[2 * AE_LIP_FEATURES + b]);
        CHECK(hand->audio[AE_LIP_FEATURES + b] == 0.0f);
        sum += formant[b];
    }
    CHECK(sum == 0.0f && formant[5] > 0.0f && formant[1] < 0.0f);
    CHECK(hand->mouth[0] == -hand->mouth[2] && hand->mouth[2] > 0.0f && hand->mouth[1] == 0.0f);
    CHECK(hand->mouth[3] == 0.0f && hand->mouth[4] == 1.0f && hand->mouth[5] == 0.0f);
}

static void test_broken_fields_are_refused(void)
{
    static const float none[AE_LIP_MAX_COMPONENTS] = {0.0f};
    static const float many[AE_LIP_MAX_COMPONENTS] = {2.0f};
    static const float broken[AE_LIP_CUES + 1] = {1.0f, NAN};
    const ae_lip_model good = *ae_lip_model_trained(6);
    ae_lip_model bad[17];
    int count = 0;
    for (int i = 0; i < 17; i++) bad[i] = good;
    bad[count++].mouth_signals = 0;
    bad[count++].mouth_signals = AE_LIP_MAX_SIGNALS + 1;
    bad[count++].components = 0;
    bad[count++].components = AE_LIP_MAX_COMPONENTS + 1;
    bad[count++].motion = 6;
    bad[count++].motion = -2;
    bad[count++].audio_taps = 10;
    bad[count++].audio_taps = AE_LIP_MAX_TAPS + 2;
    bad[count++].mouth_step = 0;
    bad[count++].mouth_step = 5;  /* the signals come every 20 ms */
    bad[count++].audio_step = 14; /* 5 * 14 frames reach beyond 0.6 s */
    bad[count++].audio = NULL;
    bad[count++].weight = none;
    bad[count++].weight = many;
    bad[count++].confidence = broken;
    bad[count++].bias_ms = NAN;
    for (int i = 0; i < count; i++) CHECK(!ae_lip_model_is_valid(&bad[i]));
    CHECK(ae_lip_model_is_valid(&good));
}

static void test_a_copy_is_its_own(void)
{
    const ae_lip_model *model = ae_lip_model_trained(1);
    ae_arena arena = {0};
    ae_lip_model_copy(model, &arena);
    const size_t wanted = arena.used;
    arena = (ae_arena){ae_allocate(wanted), 0};
    const ae_lip_model copy = ae_lip_model_copy(model, &arena);
    CHECK(arena.used == wanted && copy.audio != model->audio);
    const size_t audio = (size_t)(model->components * model->audio_taps * AE_LIP_FEATURES);
    CHECK(memcmp(copy.audio, model->audio, audio * sizeof(float)) == 0);
    const size_t mouth = (size_t)(model->components * model->mouth_taps * model->mouth_signals);
    CHECK(memcmp(copy.mouth, model->mouth, mouth * sizeof(float)) == 0);
    CHECK(copy.weight[0] == model->weight[0] && copy.confidence[0] == model->confidence[0]);
    ae_free(arena.base);
}

int main(void)
{
    test_built_in();
    test_by_hand();
    test_broken_fields_are_refused();
    test_a_copy_is_its_own();
    return AE_TEST_RESULT();
}
