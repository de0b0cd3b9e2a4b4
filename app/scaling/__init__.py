"""The method of "Model Rubik's Cube" (NeurIPS 2020) as pure functions and frozen values.

Read in this order, the packages follow the paper: `network` (what a network is), `cost` (its exact cost), `families`
(the baselines), `solver` (the width that meets a budget), `predictors` (the Gaussian processes of the tiny formula),
`rules` (how a target becomes multipliers, up to `recommend`), and `search` (where the predictors' data come from). Each
package imports only packages named before it.

Nothing here imports FastAPI, SQLAlchemy, Celery or torch.
"""
