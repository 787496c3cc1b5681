#include <c10/util/Exception.h>

#include <cmath>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/training/pretrainer.h"

namespace lifescope {
namespace {

struct PretrainFlags {
  std::string home;
  std::string corpus;
  std::string name;
  double dropout = 0.0;
  int32_t threads = 0;
  PretrainOptions pretrain;
};

Hyperparameters DefaultShape() {
  Hyperparameters shape;
  shape.hidden_size = 64;
  shape.hidden_ff = 256;
  shape.n_encoders = 3;
  shape.n_heads = 8;
  shape.n_local = 4;
  shape.local_window_size = 16;
  shape.num_random_features = 64;
  return shape;
}

std::string Figures(const PretrainProgress& progress) {
  std::string text = absl::StrFormat("loss %.3f", progress.mlm_loss);
  if (!std::isnan(progress.validation_mlm_loss)) {
    absl::StrAppendFormat(&text, "  validation %.3f", progress.validation_mlm_loss);
  }
  absl::StrAppendFormat(&text, "  unigram %.3f  %.0f tokens/s", progress.unigram_loss, progress.tokens_per_second);
  return text;
}

void PretrainModel(const PretrainFlags& flags) {
  const std::string folder = ModelFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  PretrainOptions options = flags.pretrain;
  options.threads = PrepareCompute(flags.threads);
  Hyperparameters& shape = options.hyperparameters;
  TORCH_CHECK_VALUE(shape.hidden_size % shape.n_heads == 0, "--heads ", shape.n_heads, " does not divide --hidden ",
                    shape.hidden_size);
  TORCH_CHECK_VALUE(shape.n_local <= shape.n_heads, "--local-heads ", shape.n_local, ", expected at most --heads ",
                    shape.n_heads);
  shape.max_length = corpus.corpus->manifest().max_length;
  shape.emb_dropout = shape.fw_dropout = shape.att_dropout = shape.dc_dropout = flags.dropout;

  PretrainResult result;
  {
    ProgressBar bar("pretrain", options.steps);
    result = Pretrain(*corpus.corpus, folder, options, [&](const PretrainProgress& progress) {
      bar.Update(progress.step, Figures(progress));
      return true;
    });
  }
  const OpenedModel model = OpenModel(flags.home, flags.name);
  PrintEndLine(folder,
               absl::StrFormat(
                   "%d parameters, %d steps; masked-token loss on the validation split %.3f nats, knowing the "
                   "token frequencies alone %.3f",
                   model.transformer->ParameterCount(), options.steps, result.validation_mlm_loss, result.unigram_loss),
               model.digest, result.seconds);
}

void AddShapeOptions(CLI::App& verb, Hyperparameters& shape) {
  const auto add = [&](const char* flag, int64_t& value, const char* help) {
    verb.add_option(flag, value, help)->check(CLI::PositiveNumber)->capture_default_str();
  };
  add("--hidden", shape.hidden_size, "Width of the residual stream");
  add("--ff", shape.hidden_ff, "Neurons of each layer's MLP");
  add("--layers", shape.n_encoders, "Layers");
  add("--heads", shape.n_heads, "Attention heads of each layer");
  verb.add_option("--local-heads", shape.n_local, "Of them, heads that attend within windows; the others are global")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add("--window", shape.local_window_size, "Positions of a local window");
  add("--random-features", shape.num_random_features, "FAVOR+ features of the global heads");
}

}  // namespace

void AddPretrainCommand(CLI::App& app) {
  auto flags = std::make_shared<PretrainFlags>();
  PretrainOptions& options = flags->pretrain;
  options.hyperparameters = DefaultShape();
  CLI::App* verb = app.add_subcommand("pretrain", "Pre-train a life2vec model on a corpus");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--corpus", flags->corpus, "Corpus to learn from")->required();
  verb->add_option("--name", flags->name, "Name of the new model")->required();
  verb->add_option("--steps", options.steps, "Optimiser steps")->check(CLI::PositiveNumber)->capture_default_str();
  verb->add_option("--batch", options.batch_documents, "Documents of a step")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddShapeOptions(*verb, options.hyperparameters);
  verb->add_option("--learning-rate", options.learning_rate, "Highest learning rate of the one-cycle schedule")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--dropout", flags->dropout, "Of every dropout of the model")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  verb->add_option("--seed", options.seed, "Seed of weights, masks and order")->capture_default_str();
  AddThreadsOption(*verb, flags->threads);
  verb->footer("Example:\n  lifescoped pretrain --home my-home --corpus world --name small --steps 1000");
  verb->callback([flags] { PretrainModel(*flags); });
}

}  // namespace lifescope
