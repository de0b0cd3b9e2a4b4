// Rows of comma-separated values.

const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

export const csvRow = (values) => `${values.map((value) => cell(String(value))).join(",")}\n`;
