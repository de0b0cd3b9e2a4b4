// Round numbers for the axes of charts.

const round = (value) => Number(value.toPrecision(10));

// Returns at most about `n` round numbers between `from` and `to`.
export function ticks(from, to, n = 5) {
  const rough = (to - from) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((m) => m * power >= rough * 0.999) ?? 10);
  const values = [];
  for (let v = Math.ceil(from / step - 1e-9) * step; v <= to + step * 1e-6; v += step) values.push(round(v));
  return values;
}

// Returns 1, 2 and 5 times powers of ten; where there are too few of them, evenly spaced numbers.
export function logTicks(from, to, n = 10) {
  const values = [];
  for (let exponent = Math.floor(Math.log10(from)); 10 ** exponent <= to; exponent++) {
    values.push(...[1, 2, 5].map((m) => round(m * 10 ** exponent)));
  }
  const inside = values.filter((v) => v >= from * 0.999 && v <= to * 1.001);
  if (inside.length < 3) return ticks(from, to, n);
  return inside.length > n + 3 ? inside.filter((v) => /^1/.test(v.toExponential())) : inside;
}
