"""The method of "Model Rubik's Cube" (NeurIPS 2020), pure: values in, values out.

Read in this order, it is the paper: `architecture` (what a network is), `families` (the baselines),
`cost` (what a network costs, exactly), `width_solver` (a budget met by width), `rules` (how a target becomes
multipliers), `predictor` (the Gaussian processes behind the tiny formula), `recommend` (all of it together),
then `sampling`, `front` and `observations` (where the predictor's data come from).

Nothing here imports FastAPI, SQLAlchemy, Celery or torch.
"""
