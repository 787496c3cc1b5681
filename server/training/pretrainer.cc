#include "server/training/pretrainer.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/training/learning_curve.h"
#include "server/training/pretrain_run.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Metadata of a checkpoint.
constexpr char kOptions[] = "options", kCorpus[] = "corpus", kRunId[] = "run_id";
// They decide how often a run is saved, not what comes out.
constexpr char kCheckpointInterval[] = "checkpoint_interval";

// The hidden files of a run beside its model folder.
struct RunFiles {
  explicit RunFiles(const std::string& model_folder)
      : model(fs::absolute(model_folder)),
        checkpoint(Hidden(".checkpoint.safetensors")),
        losses(Hidden(".loss.csv")),
        partial(Hidden(".partial")) {}

  std::string Hidden(const char* suffix) const {
    fs::path hidden = model.parent_path() / ".";
    hidden += model.filename();
    return hidden += suffix;
  }

  const fs::path model;
  const std::string checkpoint, losses, partial;
};

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void SaveCheckpoint(const RunFiles& files, const PretrainRun& run, const Corpus& corpus, const PretrainOptions& options,
                    const std::string& run_id) {
  WriteSafetensors(files.checkpoint, run.State(),
                   {{kOptions, ToJson(options)}, {kCorpus, corpus.digest()}, {kRunId, run_id}});
}

const std::string& Metadata(const SafetensorsFile& file, const std::string& name) {
  const auto found = file.metadata().find(name);
  TORCH_CHECK_VALUE(found != file.metadata().end(), file.path(), ": no metadata '", name,
                    "', expected a checkpoint of pretrain");
  return found->second;
}

SafetensorsFile OpenCheckpoint(const RunFiles& files) {
  TORCH_CHECK_VALUE(fs::exists(files.checkpoint), "resume: no checkpoint ", files.checkpoint);
  return SafetensorsFile::Open(files.checkpoint);
}

void LoadCheckpoint(const RunFiles& files, const Corpus& corpus, const PretrainOptions& options, PretrainRun& run) {
  const SafetensorsFile file = OpenCheckpoint(files);
  TORCH_CHECK_VALUE(Metadata(file, kCorpus) == corpus.digest(), "resume: the stopped run had the corpus ",
                    Metadata(file, kCorpus), ", this one has ", corpus.digest());
  const auto stored = nlohmann::json::parse(Metadata(file, kOptions), nullptr, /*allow_exceptions=*/false);
  const nlohmann::json expected_options = nlohmann::json::parse(ToJson(options));
  for (const auto& [name, expected] : expected_options.items()) {
    const nlohmann::json found = stored.is_object() ? stored.value(name, nlohmann::json()) : nlohmann::json();
    TORCH_CHECK_VALUE(found == expected || name == kCheckpointInterval, "resume: the stopped run had ", name, " ",
                      found.dump(), ", this one has ", expected.dump());
  }
  run.Restore(ReadState(file));
}

void WriteModel(const std::string& folder, const std::map<std::string, at::Tensor>& weights, const PretrainRun& run,
                const Corpus& corpus) {
  fs::create_directories(folder);
  WriteSafetensors(folder + "/model.safetensors", weights);
  WriteFileAtomically(folder + "/hparams.json", run.hyperparameters().ToJson());
  WriteFileAtomically(folder + "/vocab.tsv", corpus.vocabulary().ToTsv());
}

// Writes into a hidden folder beside the model's, which is then renamed.
void Publish(const RunFiles& files, const PretrainRun& run, const Corpus& corpus) {
  fs::remove_all(files.partial);
  WriteModel(files.partial, run.Last(), run, corpus);
  WriteModel(files.partial + "/best", run.Best(), run, corpus);
  WriteFileAtomically(files.partial + "/loss.csv", ReadFile(files.losses));
  WriteFileAtomically(files.partial + "/curve.svg",
                      LearningCurve(files.model.filename(), ReadLossLog(files.losses), run.unigram_loss()));
  std::error_code error;
  fs::rename(files.partial, files.model, error);
  TORCH_CHECK_VALUE(!error, files.model.string(), ": cannot make the model visible: ", error.message());
  fs::remove(files.checkpoint);
  fs::remove(files.losses);
}

PretrainResult ResultOf(const PretrainRun& run, double tokens_per_second, double seconds) {
  return {run.last_validation_loss(), run.best_validation_loss(), run.best_step(),
          run.unigram_loss(),         tokens_per_second,          seconds};
}

// The next step, with its validation and its line in the log.
LossLine TakeStep(const PretrainOptions& options, PretrainRun& run, LossLog& log, int64_t* tokens) {
  const PretrainStep step = run.Step();
  *tokens += step.token_count;
  LossLine line{run.step_count(), step.learning_rate, step.loss, step.mlm_loss, step.sop_loss, std::nullopt};
  const bool validate = line.step == options.steps || line.step % options.validation_interval == 0;
  if (validate) line.validation_mlm_loss = run.Validate();
  log.Append(line);
  return line;
}

}  // namespace

PretrainResult Pretrain(const Corpus& corpus, const std::string& model_folder, const PretrainOptions& options,
                        const std::function<bool(const PretrainProgress&)>& on_progress,
                        const PretrainSession& session) {
  const RunFiles files(model_folder);
  TORCH_CHECK_VALUE(!fs::exists(files.model), model_folder, " exists: a model is never overwritten");
  PretrainRun run(corpus, options);
  const auto save = [&] { SaveCheckpoint(files, run, corpus, options, session.run_id); };
  if (session.resume) {
    LoadCheckpoint(files, corpus, options, run);
  } else {
    TORCH_CHECK_VALUE(!fs::exists(files.checkpoint), "an unfinished run of this name left ", files.checkpoint,
                      ": resume it, or remove that file");
    save();
  }
  LossLog log(files.losses, run.step_count());

  const Clock::time_point start = Clock::now();
  int64_t tokens = 0;
  const auto tokens_per_second = [&] { return static_cast<double>(tokens) / SecondsSince(start); };
  while (run.step_count() < options.steps) {
    const LossLine line = TakeStep(options, run, log, &tokens);
    const bool is_last = line.step == options.steps;
    const bool is_kept = is_last || line.step % options.checkpoint_interval == 0;
    const bool goes_on = !on_progress || on_progress({line, options.steps, run.last_validation_loss(),
                                                      run.unigram_loss(), tokens_per_second(), is_kept});
    if (is_last) break;
    if (is_kept || !goes_on) {
      log.Sync();
      save();
    }
    if (!goes_on) return ResultOf(run, tokens_per_second(), -1);
  }
  const PretrainResult result = ResultOf(run, tokens_per_second(), SecondsSince(start));
  Publish(files, run, corpus);
  return result;
}

std::string StoppedRunId(const std::string& model_folder) {
  return Metadata(OpenCheckpoint(RunFiles(model_folder)), kRunId);
}

}  // namespace lifescope
