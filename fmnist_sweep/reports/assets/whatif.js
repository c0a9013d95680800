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

/** Those of a curve's epochs that may stand for the trial. */
function openEpochs(rule, epochs, allowed) {
  const last = epochs[epochs.length - 1];
  if (rule.epoch_rule === "last") return [last];
  const candidates = allowed === null ? epochs : epochs.filter((e) => allowed.includes(e.epoch));
  return candidates.length === 0 ? [last] : candidates;
}

/** The epoch whose scores stand for the trial: the first of the best allowed ones, or the last. */
function scoredEpoch(rule, curve, allowed) {
  return openEpochs(rule, epochScores(rule, curve), allowed).reduce((best, e) => (e.score > best.score ? e : best));
}

/** The rows that can't be told from the best, by rising validation loss; see core/choosing.py. */
function nearBest(rule, rows, allowed) {
  if (!rule.within_se || !rule.n_val) return [];
  const loss = (r) => r.trial.curve.val_cross_entropy ?? r.trial.curve.val_loss;
  const open = rows.filter((r) => !rule.size_limit || r.trial.n_parameters === null || r.trial.n_parameters <= rule.size_limit);
  if (open.length === 0 || loss(open[0]) === undefined) return [];
  const best = open[0].trial.curve[`val_${rule.metric}`][open[0].epoch];
  const lowest = open[0].score - rule.within_se * Math.sqrt((best * (1 - best)) / rule.n_val) - 1e-12;
  const near = [];
  for (const row of open.filter((r) => r.score >= lowest && loss(r) !== undefined)) {
    const epochs = openEpochs(rule, epochScores(rule, row.trial.curve), allowed).filter((e) => e.score >= lowest);
    const order = (a, b) => loss(row)[a.epoch] - loss(row)[b.epoch] || b.score - a.score || a.epoch - b.epoch;
    near.push({ trial: row.trial, ...epochs.sort(order)[0] });
  }
  return near.sort(
    (a, b) => loss(a)[a.epoch] - loss(b)[b.epoch] || b.score - a.score || a.trial.number - b.trial.number,
  );
}

/** All trials under a rule, best first; equal scores by smaller gap, fewer parameters, number. */
function rescore(rule, trials, allowed) {
  const size = (t) => (t.n_parameters === null ? Infinity : t.n_parameters);
  const ranked = trials
    .map((trial) => ({ trial, ...scoredEpoch(rule, trial.curve, allowed) }))
    .sort(
      (a, b) =>
        b.score - a.score ||
        a.gap - b.gap ||
        (size(a.trial) === size(b.trial) ? 0 : size(a.trial) - size(b.trial)) ||
        a.trial.number - b.trial.number,
    );
  const near = nearBest(rule, ranked, allowed);
  const chosen = new Set(near.map((r) => r.trial));
  return [...near, ...ranked.filter((r) => !chosen.has(r.trial))];
}
