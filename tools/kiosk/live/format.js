// Numbers as a person reads them. Each returns [number, unit].

const scale = (value, base, units) => {
  let unit = 0;
  while (value >= base && unit + 1 < units.length) {
    value /= base;
    unit++;
  }
  const digits = value >= 100 || (unit === 0 && Number.isInteger(value)) ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[unit]];
};

export const count = (value) => (value < 10 && !Number.isInteger(value)
  ? [value.toFixed(1), ""] : value < 10000 ? [Math.round(value).toString(), ""]
  : scale(value, 1000, ["", "k", "M", "G", "T"]));
export const bytes = (value) => scale(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
export const byteRate = (value) => scale(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]);
export const micros = (value) => scale(value, 1000, ["µs", "ms", "s"]);
export const rate = (value) => {
  const [number, prefix] = count(value);
  return [number, `${prefix}/s`];
};
export const depth = (value) => [value < 10 ? value.toFixed(1) : Math.round(value).toString(), ""];
export const plain = ([number, unit]) => (!unit || unit.startsWith("/") ? number + unit : `${number} ${unit}`);
