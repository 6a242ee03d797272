"""Learning rates of a solver, iteration by iteration, as SGDSolver::GetLearningRate has them."""

import math


class Rates:
    """The rates of one training.

    Parameters
    ----------
    message : SolverParameter
    iteration : int
        Where it begins, or goes on.
    step : int
        What the solverstate has of `current_step`: "multistep" alone goes on from it, whatever stepvalue says now.
    """

    def __init__(self, message, iteration=0, step=0):
        self.message = message
        self.iteration = iteration
        self.step = step

    def next(self):
        """Return the rate of the iteration that comes, and go on to the next."""
        message, iteration = self.message, self.iteration
        self._step(message.stepvalue)
        self.iteration += 1
        base, gamma = message.base_lr, message.gamma
        if message.lr_policy == "step":
            return base * gamma ** (iteration // message.stepsize)
        if message.lr_policy == "exp":
            return base * gamma**iteration
        if message.lr_policy == "inv":
            return base * (1 + gamma * iteration) ** -message.power
        if message.lr_policy == "multistep":
            return base * gamma**self.step
        if message.lr_policy == "poly":
            return base * (1 - iteration / message.max_iter) ** message.power
        if message.lr_policy == "sigmoid":
            return base / (1 + _exp(-gamma * (iteration - message.stepsize)))
        return base

    def _step(self, values):
        if self.step < len(values) and self.iteration >= values[self.step]:
            self.step += 1


def _exp(power):
    return math.exp(power) if power < 700 else math.inf


def steps_before(message, iteration):
    """Return the `current_step` that a training without a break would have before an iteration of "multistep"."""
    rates = Rates(message)
    for value in sorted({0, *message.stepvalue}):
        rates.iteration = max(rates.iteration, value)
        while rates.iteration < iteration and rates.step < len(message.stepvalue):
            before = rates.step
            rates.next()
            if rates.step == before:
                break
    return rates.step
