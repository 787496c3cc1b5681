// What each verb asks of the server and prints of its answer.
#include "client/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "nlohmann/json.hpp"
#include "tests/client/fake_server.h"
#include "tests/client/temporary_file.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CommandLineTest : public testing::Test {
 protected:
  std::string Print(const std::vector<std::string>& arguments) {
    const Outcome outcome = Invoke(arguments, server_.address());
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    err_ = outcome.err;
    return outcome.out;
  }
  nlohmann::json PrintJson(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--output", "json"});
    return nlohmann::json::parse(Print(arguments));
  }

  FakeServer server_;
  std::string err_;
};

TEST_F(CommandLineTest, EncodePrintsTheLifeWithItsFeaturesThenTheStrongest) {
  EXPECT_EQ(Print({"encode", "--person", "17"}),
            "person 17  10 positions, 64 features\n"
            "event  date        age  tokens                  strongest features\n"
            "    0  background       [CLS] FEMALE YEAR_1957  #3 1.00\n"
            "    1  1990-03-04   32  IND_4662 POS_3          #40 4.00  #7 0.500\n"
            "    2  1991-07-01   33  IND_2110 POS_4          #3 0.250\n"
            "\n"
            "feature    max                    fires at  most at  date        event\n"
            "    #40   4.00  ████████████████   2 of 10        5  1990-03-04  IND_4662 «POS_3»\n"
            "     #3   1.00  ████               2 of 10        0  background  «[CLS]» FEMALE YEAR_1957\n"
            "     #7  0.500  ██                 1 of 10        4  1990-03-04  «IND_4662» POS_3\n"
            "\n"
            "run 5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11  ·  12.3 ms on cpu\n");
}

TEST_F(CommandLineTest, EncodeWithoutTextShowsPositionsAndSaysWhy) {
  server_.gives_text = false;
  EXPECT_THAT(Print({"encode", "--person", "17"}),
              AllOf(HasSubstr("position  strongest features"), HasSubstr("5  #40 4.00"), Not(HasSubstr("IND_4662"))));
  EXPECT_THAT(err_, HasSubstr("this server gives no text"));
}

TEST_F(CommandLineTest, EncodeSendsWhatItWasGiven) {
  Print({"encode", "--person", "17,18", "--corpus", "demo", "--mask", "5", "--at", "event:1", "--model", "m",
         "--dictionary", "d", "--n-slots", "99"});
  ASSERT_EQ(server_.encode.documents_size(), 2);
  EXPECT_EQ(server_.encode.documents(1).person().person_id(), 18);
  EXPECT_EQ(server_.encode.documents(0).person().corpus(), "demo");
  EXPECT_THAT(server_.encode.documents(0).mask_positions(), ElementsAre(5));
  EXPECT_THAT(server_.encode.positions().events(), ElementsAre(1));
  EXPECT_EQ(server_.encode.model(), "m");
  EXPECT_EQ(server_.encode.dictionary(), "d");
  EXPECT_EQ(server_.encode.n_slots(), 99);
}

TEST_F(CommandLineTest, JsonIsTheServersMessageAndReadsNoText) {
  const nlohmann::json json = PrintJson({"encode", "--person", "17"});
  EXPECT_EQ(json["features"][0]["featureCount"], 64);
  EXPECT_THAT(server_.methods, ElementsAre("Encode"));
}

TEST_F(CommandLineTest, AnInlineLifeIsShownWithItsDates) {
  const TemporaryFile life(
      R"({"background": ["FEMALE"], "events": [{"abspos": 32, "age": 40, "tokens": ["IND_4662", "POS_3", "CITY_1",
          "CITY_2", "CITY_3", "CITY_4"]}]})");
  EXPECT_THAT(Print({"encode", "--life", life.path()}),
              AllOf(HasSubstr("a life of 1 events"), HasSubstr("2008-02-01   40  IND_4662 POS_3")));
}

TEST_F(CommandLineTest, ALifeThatTheServerLaidOutOtherwiseGetsNoWords) {
  const TemporaryFile life(R"({"background": ["FEMALE"], "events": []})");
  EXPECT_THAT(Print({"encode", "--life", life.path()}), AllOf(HasSubstr("position  "), Not(HasSubstr("FEMALE"))));
}

TEST_F(CommandLineTest, AblatePrintsProbabilitiesBeforeAndAfter) {
  EXPECT_EQ(Print({"ablate", "--person", "17", "--features", "12,40"}),
            "features 12, 40 to zero in person 17  everywhere\n"
            "\n"
            "features 12, 40\n"
            "    token      before      after  change\n"
            "  position 5  1990-03-04  IND_4662 «POS_3»  KL 0.125 nats\n"
            "    INCOME_40  50.0 %  →  12.5 %  ▼ ×0.250  ████████████████\n"
            "\n"
            "run 5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11  ·  12.3 ms on cpu\n");
}

TEST_F(CommandLineTest, AblateEachComparesFeaturesFirst) {
  EXPECT_THAT(Print({"ablate", "--person", "17", "--features", "12,40", "--each"}),
              HasSubstr("  feature 40       0.250  ████████████████   5\n"
                        "  feature 12       0.125  ████████           5\n"));
  EXPECT_TRUE(server_.ablate.each_separately());
}

TEST_F(CommandLineTest, AblatePrintsWhatAHeadSays) {
  const std::string shown = Print({"ablate", "--person", "17", "--features", "12", "--head", "heart"});
  EXPECT_EQ(server_.ablate.head(), "heart");
  EXPECT_THAT(shown, HasSubstr("    trait:illness=cardiac  not cardiac  75.0 %  →  25.0 %\n"
                               "    trait:illness=cardiac  cardiac      25.0 %  →  75.0 %\n"));
}

TEST_F(CommandLineTest, HeadsSayWhatTheyPredict) {
  EXPECT_THAT(Print({"heads"}), HasSubstr("heart  demo   attention  trait:illness=cardiac  not cardiac, cardiac"));
}

TEST_F(CommandLineTest, AblateSendsWhatItWasGiven) {
  Print({"ablate", "--person", "17", "--mask", "5", "--features", "12,40", "--kind", "set", "--value", "-2.5",
         "--error-mode", "replace", "--at", "cls", "--read-at", "4-5", "--top", "7"});
  const v1::AblateFeaturesRequest& request = server_.ablate;
  EXPECT_THAT(request.features(), ElementsAre(12, 40));
  EXPECT_EQ(request.kind(), v1::ABLATION_KIND_SET);
  EXPECT_EQ(request.value(), -2.5);
  EXPECT_EQ(request.error_mode(), v1::ERROR_MODE_REPLACE);
  EXPECT_TRUE(request.positions().cls());
  EXPECT_EQ(request.read_positions().ranges(0).end(), 6);
  EXPECT_EQ(request.top_tokens(), 7);
}

TEST_F(CommandLineTest, AblateReadsWhereTheServerChoosesByDefault) {
  Print({"ablate", "--person", "17", "--mask", "5", "--features", "12"});
  EXPECT_FALSE(server_.ablate.has_read_positions());
}

TEST_F(CommandLineTest, PatchPrintsEveryTargetBetweenCorruptedAndClean) {
  EXPECT_EQ(Print({"patch", "--clean-person", "17", "--corrupted-person", "21", "--metric-at", "5", "--tokens",
                   "POS_3,POS_4", "--hook", "blocks.1.hook_resid_post", "--head", "1.3", "--at", "event:1"}),
            "person 17 patched into person 21  denoising: is it enough?\n"
            "  logit(POS_3) - logit(POS_4) at position 5\n"
            "\n"
            "  run                       where      metric  effect  0 … 1\n"
            "  clean                     person 17    2.00    1.00  ████████████████████\n"
            "  corrupted                 person 21   -2.00    0.00\n"
            "  blocks.1.hook_resid_post  event:1     -1.00    0.25  █████\n"
            "  head 1.3                  event:1     -1.00    0.25  █████\n"
            "\n"
            "run 5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11  ·  12.3 ms on cpu\n");
}

TEST_F(CommandLineTest, PatchSendsEveryKindOfTarget) {
  Print({"patch", "--clean-person", "17",    "--corrupted-person", "21",    "--mask",     "5",  "--metric-at",
         "5",     "--tokens",       "A,B",   "--direction",        "noise", "--hook",     "h1", "--hook",
         "h2",    "--neurons",      "1:4,5", "--features",         "12,40", "--features", "7",  "--dictionary",
         "d"});
  const v1::PatchActivationsRequest& request = server_.patch;
  EXPECT_EQ(request.direction(), v1::PATCH_DIRECTION_NOISING);
  ASSERT_EQ(request.targets_size(), 5);
  EXPECT_EQ(request.targets(1).activation().hook_point(), "h2");
  EXPECT_EQ(request.targets(2).neurons().layer(), 1);
  EXPECT_THAT(request.targets(2).neurons().neurons(), ElementsAre(4, 5));
  EXPECT_THAT(request.targets(3).features().features(), ElementsAre(12, 40));
  EXPECT_EQ(request.targets(4).features().dictionary(), "d");
  EXPECT_EQ(request.metric().token_b(), "B");
  EXPECT_THAT(request.clean().mask_positions(), ElementsAre(5));
  EXPECT_THAT(request.corrupted().mask_positions(), ElementsAre(5));
}

TEST_F(CommandLineTest, AttributePrintsPlacesAndEvents) {
  EXPECT_EQ(Print({"attribute", "--person", "17", "--metric-at", "5", "--tokens", "POS_3,POS_4", "--features", "--rule",
                   "trapezoid", "--baseline-person", "21"}),
            "logit(POS_3) - logit(POS_4) at position 5 in person 17  by features going to person 21\n"
            "  2.00, with all at the baseline -1.00; effects add up to that but for 0.250\n"
            "  1 places computed exactly: correlation with the estimates –\n"
            "\n"
            "  position  token  when        place       effect  exact\n"
            "         5  POS_3  1990-03-04  feature 40   -4.00  -3.50  ████████████████\n"
            "         8  POS_4  1991-07-01  error         1.00         ████\n"
            "\n"
            "  event  when        effect\n"
            "      1  1990-03-04   -4.00  ████████████████  IND_4662 POS_3\n"
            "      2  1991-07-01    1.25  █████             IND_2110 POS_4\n"
            "      0  background       0                    [CLS] FEMALE YEAR_1957\n"
            "\n"
            "run 5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11  ·  12.3 ms on cpu\n");
  EXPECT_EQ(server_.attribute.rule(), v1::GRADIENT_RULE_INTEGRATED_TRAPEZOID);
  EXPECT_EQ(server_.attribute.baseline().document().person().person_id(), 21);
  EXPECT_EQ(server_.attribute.exact_count(), 32);
}

TEST_F(CommandLineTest, AttributeNamesWhatIsMissing) {
  const std::vector<std::string> life = {"attribute", "--person", "17"};
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.begin(), life.begin(), life.end());
    const Outcome outcome = Invoke(more, server_.address());
    EXPECT_EQ(outcome.exit_code, kExitUsage);
    return outcome.err;
  };
  EXPECT_THAT(refused({"--tokens", "A,B", "--metric-at", "3"}), HasSubstr("say by which places"));
  EXPECT_THAT(refused({"--hook", "hook_embed"}), HasSubstr("say what is explained"));
  EXPECT_THAT(refused({"--hook", "hook_embed", "--token", "A"}), HasSubstr("need --metric-at"));
  EXPECT_THAT(refused({"--hook", "hook_embed", "--token", "A", "--class", "B"}), HasSubstr("say what is explained"));
}

TEST_F(CommandLineTest, CircuitPrintsEdgesAndHowMuchTheyCarry) {
  EXPECT_THAT(
      Print({"circuit", "--person", "17", "--metric-at", "5", "--token", "POS_3", "--upstream", "a", "--downstream",
             "b", "--mean-person", "1-3"}),
      AllOf(HasSubstr("a → b, others at the mean of 3 lives\n"), HasSubstr("faithfulness 0.75, completeness –\n"),
            HasSubstr("  feature 12 at 5  error at 7   -1.50  ████████████████\n")));
  EXPECT_EQ(server_.find_circuit.upstream_nodes(), 20);
}

TEST_F(CommandLineTest, ConceptPrintsTheScoreAndItsChance) {
  EXPECT_THAT(
      Print({"concept", "--with-person", "1-4", "--without-person", "5-9", "--person", "17,18", "--class", "cardiac",
             "--hook", "heads.heart.hook_person_summary"}),
      AllOf(HasSubstr("P(cardiac) along a concept at heads.heart.hook_person_summary  4 lives with it, 5 without, 2 "
                      "tested\n"),
            HasSubstr("grows along the concept for 75.0 % of the lives (magnitude 0.80)\n"),
            HasSubstr("p = 0.500 against 1 directions")));
  EXPECT_EQ(server_.test_concept.negative_size(), 5);
}

TEST_F(CommandLineTest, SweepDrawsTheTableAndListsTheLargest) {
  EXPECT_EQ(Print({"sweep", "--clean-person", "17", "--corrupted-person", "21", "--metric-at", "5", "--tokens",
                   "POS_3,POS_4", "--top", "2"}),
            "logit(POS_3) - logit(POS_4) at position 5  person 17 patched into person 21\n"
            "  clean 2.00, corrupted -2.00\n"
            "\n"
            "  blocks.0.hook_resid_post  ·▁▁\n"
            "  blocks.1.hook_resid_post  ▁▁█\n"
            "\n"
            "  where                              metric  effect  p  q\n"
            "  blocks.1.hook_resid_post  event 2    1.50    0.88\n"
            "  blocks.1.hook_resid_post  event 1   -1.60    0.10\n"
            "\n"
            "run 5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11  ·  12.3 ms on cpu\n");
}

TEST_F(CommandLineTest, ABrokenSweepGoesOnWhereItBroke) {
  const std::string file = testing::TempDir() + "/sweep.csv", plot = testing::TempDir() + "/sweep.svg";
  std::remove(file.c_str());
  const std::vector<std::string> command = {"sweep", "--clean-person", "17", "--metric-at", "5", "--token",
                                            "POS_3", "--save",         file, "--plot",      plot};
  server_.sweep_breaks_after = 4;
  EXPECT_EQ(Invoke(command, server_.address()).exit_code, kExitRefused);
  server_.sweep_breaks_after = -1;
  EXPECT_THAT(Print(command), HasSubstr("blocks.1.hook_resid_post  event 2"));
  EXPECT_EQ(server_.sweep.first_cell(), 4);
  std::ifstream saved(file);
  std::string line;
  int lines = 0;
  while (std::getline(saved, line)) ++lines;
  EXPECT_EQ(lines, 8) << "the request, names and six cells";
  std::ifstream drawn(plot);
  const std::string svg((std::istreambuf_iterator<char>(drawn)), std::istreambuf_iterator<char>());
  EXPECT_THAT(svg, AllOf(HasSubstr("<svg"), HasSubstr("blocks.1.hook_resid_post, event 2: ")));
  // Another question may not go on with these cells.
  std::vector<std::string> other = command;
  other[6] = "POS_4";
  const Outcome refused = Invoke(other, server_.address());
  EXPECT_EQ(refused.exit_code, kExitUsage);
  EXPECT_THAT(refused.err, HasSubstr("has the cells of another sweep"));
}

TEST_F(CommandLineTest, AlignPrintsPartnersAndWhoHasNone) {
  EXPECT_EQ(Print({"align", "--person", "17", "--donor-person", "21", "--align", "date"}),
            "person 17 and person 21  2 positions have a partner\n"
            "  position  its partner\n"
            "         0            2\n"
            "         4            6\n"
            "  only in person 17: 3,5-7\n");
}

TEST_F(CommandLineTest, TopMarksWhereTheFeatureFires) {
  EXPECT_EQ(Print({"top", "40", "--count", "2"}),
            "feature 40: where it fires most  of 2,000 persons\n"
            "rank  activation                    person  position\n"
            "   1        4.00  ████████████████      17         5\n"
            "      background  [CLS] FEMALE YEAR_1957\n"
            "    ▸ 1990-03-04  32  IND_4662 «POS_3»\n"
            "      1991-07-01  33  IND_2110 POS_4\n"
            "   2        2.00  ████████              18         5\n"
            "      background  [CLS] FEMALE YEAR_1957\n"
            "    ▸ 1990-03-04  32  IND_4662 «POS_3»\n"
            "      1991-07-01  33  IND_2110 POS_4\n");
  EXPECT_EQ(server_.top.context_events(), 1);
}

TEST_F(CommandLineTest, TopFallsBackToReferencesWhereTextIsRefused) {
  server_.gives_text = false;
  EXPECT_THAT(Print({"top", "40"}), AllOf(HasSubstr("17         5"), Not(HasSubstr("IND_4662"))));
  EXPECT_THAT(server_.methods, ElementsAre("ListTopExamples", "ListTopExamples"));
  EXPECT_THAT(err_, HasSubstr("this server gives no text"));
}

TEST_F(CommandLineTest, FeaturePrintsStatisticsAndExamples) {
  EXPECT_THAT(Print({"feature", "40", "--count", "1"}),
              AllOf(HasSubstr("feature 40  over 2,000 persons and 100,000 positions\n"
                              "  fires at   1.2 %  of positions (1,200)\n"
                              "  fires in  34.0 %  of persons (680)\n"),
                    HasSubstr("  0 █▆·▅ 4.00  activations, counts on a log scale"), HasSubstr("«POS_3»")));
}

TEST_F(CommandLineTest, ListsAreFetchedPageByPage) {
  EXPECT_THAT(Print({"corpora"}), AllOf(HasSubstr("demo"), HasSubstr("second")));
  EXPECT_EQ(PrintJson({"features", "--count", "4"})["features"].size(), 4);
  EXPECT_EQ(PrintJson({"features"})["features"].size(), 5);
  EXPECT_THAT(Print({"features", "--count", "3"}), HasSubstr("there are more"));
}

TEST_F(CommandLineTest, ModelsOfOneNameShowHookPoints) {
  EXPECT_THAT(Print({"models", "demo"}), AllOf(HasSubstr("1,234,567"), HasSubstr("blocks.1.hook_resid_post  [96]")));
}

TEST_F(CommandLineTest, DocumentShowsPositions) {
  EXPECT_THAT(Print({"document", "--person", "17"}), HasSubstr("    1  1990-03-04   32        4-6  IND_4662 POS_3\n"));
  EXPECT_THAT(Print({"document", "--person", "17", "--by-position"}),
              HasSubstr("       6  [SEP]          1  1990-03-04   32\n"));
}

TEST_F(CommandLineTest, RunTellsValuesAndWritesThemToAFile) {
  const TemporaryFile plan(R"({"documents": [{"person": {"person_id": 17}}],
      "interventions": [{"name": "off"}], "reads": [{"name": "kl", "kl_to_clean": {}}]})");
  const std::string out = plan.path() + ".safetensors";
  EXPECT_THAT(Print({"run", plan.path(), "--out", out}),
              AllOf(HasSubstr("clean         0  kl    [2]    0.500  -1.25\n"), HasSubstr("off "), HasSubstr(out)));
  std::ifstream file(out, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  EXPECT_THAT(bytes, AllOf(HasSubstr("\"clean/0/kl\""), HasSubstr("\"off/0/kl\""), HasSubstr("5b0c6d0c")));
  EXPECT_EQ(server_.request_ids.front().size(), 36);
}

TEST_F(CommandLineTest, RunKeepsTheRequestIdOfItsPlan) {
  const TemporaryFile plan(R"({"request_id": "sweep-1", "run": {"reads": [{"kl_to_clean": {}}]}})");
  Print({"run", plan.path()});
  Print({"run", plan.path(), "--request-id", "sweep-2"});
  EXPECT_THAT(server_.request_ids, ElementsAre("sweep-1", "sweep-2"));
}

TEST_F(CommandLineTest, RunsListsAndShowsStoredAnswers) {
  EXPECT_THAT(Print({"runs"}), AllOf(HasSubstr("5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11"), HasSubstr("encode"),
                                     HasSubstr("ada"), HasSubstr("12.3"), HasSubstr("4.2 KiB")));
  EXPECT_THAT(Print({"runs", "runs/5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11"}),
              AllOf(HasSubstr("n_slots 128"), HasSubstr("#40 4.00")));
  EXPECT_EQ(PrintJson({"runs", "5b0c6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11"})["summary"]["kind"], "RUN_KIND_ENCODE");
}

TEST_F(CommandLineTest, TheServerOptionWinsOverTheEnvironment) {
  EXPECT_EQ(Invoke({"status", "--server", server_.address()}, "127.0.0.1:1").exit_code, 0);
  EXPECT_EQ(Invoke({"--server", server_.address(), "status"}, "127.0.0.1:1").exit_code, 0);
}

}  // namespace
}  // namespace lifescope
