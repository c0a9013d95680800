// The score of fmnist_sweep/core/score.py, recomputed from stored curves. Tests hold the two together.
"use strict";

const MAX_CROSS_ENTROPY = -Math.log(1e-7);

/** Gap and penalised score after each epoch of a curve. */
function epochScores(rule, curve) {
  const accuracy = rule.metric === "accuracy";
  const train = curve[`train_${rule.metric}`];
  const val = curve[`val_${rule.metric}`];
  // Of a metric of somebody's own the page says which way is better.
  const sign = rule.sign ?? (accuracy ? 1 : -1);
  return val.map((value, epoch) => {
    const gap = sign * (train[epoch] - value);
    let score = sign * value - rule.penalty * Math.max(0, gap - rule.tolerance);
    if (rule.min_val_accuracy !== null) {
      const shortfall = rule.min_val_accuracy - curve.val_accuracy[epoch];
      if (shortfall > 0) score = -(1 + rule.penalty) * (accuracy ? 1 : MAX_CROSS_ENTROPY) - shortfall;
    }
    return { epoch, gap, score };
  });
}

/** The epoch whose scores stand for the trial: the first of the best allowed ones, or the last. */
function scoredEpoch(rule, curve, allowed) {
  const epochs = epochScores(rule, curve);
  const last = epochs.length - 1;
  if (rule.epoch_rule === "last") return epochs[last];
  let candidates = allowed === null ? epochs : epochs.filter((e) => allowed.includes(e.epoch));
  if (candidates.length === 0) candidates = [epochs[last]];
  return candidates.reduce((best, e) => (e.score > best.score ? e : best));
}

/** All trials under a rule, best first; equal scores by smaller gap, fewer parameters, number. */
function rescore(rule, trials, allowed) {
  const size = (t) => (t.n_parameters === null ? Infinity : t.n_parameters);
  return trials
    .map((trial) => ({ trial, ...scoredEpoch(rule, trial.curve, allowed) }))
    .sort(
      (a, b) =>
        b.score - a.score ||
        a.gap - b.gap ||
        (size(a.trial) === size(b.trial) ? 0 : size(a.trial) - size(b.trial)) ||
        a.trial.number - b.trial.number,
    );
}
