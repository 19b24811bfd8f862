-- Factors to the SI unit of each quantity: NIST Special Publication 811 (2008), appendix B.8, exact unless it says otherwise there.

local inch, foot, mile = 0.0254, 0.3048, 1609.344
local pound, gallon = 0.45359237, 3.785411784e-3
local standard_gravity = 9.80665

-- quantity → unit → factor, or {factor, offset} where the scales do not begin at the same point.
local quantities = {
  temperature = {
    K = 1, ["°C"] = { 1, 273.15 }, degC = { 1, 273.15 }, C = { 1, 273.15 },
    ["°F"] = { 5 / 9, 459.67 * 5 / 9 }, degF = { 5 / 9, 459.67 * 5 / 9 }, F = { 5 / 9, 459.67 * 5 / 9 },
  },
  length = {
    m = 1, mm = 1e-3, cm = 1e-2, km = 1e3, ["in"] = inch, ft = foot, yd = 3 * foot, mi = mile, nmi = 1852,
  },
  area = { ["m²"] = 1, m2 = 1, ["cm²"] = 1e-4, cm2 = 1e-4, ["km²"] = 1e6, km2 = 1e6, ha = 1e4, ["ft²"] = foot ^ 2, ft2 = foot ^ 2, acre = 43560 * foot ^ 2 },
  volume = {
    ["m³"] = 1, m3 = 1, L = 1e-3, l = 1e-3, mL = 1e-6, ml = 1e-6, gal = gallon, ["ft³"] = foot ^ 3, ft3 = foot ^ 3,
  },
  mass = { kg = 1, g = 1e-3, mg = 1e-6, t = 1e3, lb = pound, oz = pound / 16 },
  speed = { ["m/s"] = 1, ["km/h"] = 1 / 3.6, mph = mile / 3600, kn = 1852 / 3600, ["ft/s"] = foot },
  pressure = {
    Pa = 1, hPa = 100, kPa = 1e3, MPa = 1e6, mbar = 100, bar = 1e5, atm = 101325,
    mmHg = 133.3224, inHg = 3386.389, psi = pound * standard_gravity / inch ^ 2,
  },
  energy = { J = 1, kJ = 1e3, MJ = 1e6, Wh = 3600, kWh = 3.6e6, MWh = 3.6e9, cal = 4.184, kcal = 4184, BTU = 1055.056 },
  power = { W = 1, mW = 1e-3, kW = 1e3, MW = 1e6, hp = 550 * foot * pound * standard_gravity },
  flow = {
    ["m³/s"] = 1, ["m3/s"] = 1, ["m³/h"] = 1 / 3600, ["m3/h"] = 1 / 3600, ["L/s"] = 1e-3, ["L/min"] = 1e-3 / 60, ["L/h"] = 1e-3 / 3600,
    ["gal/min"] = gallon / 60,
  },
  time = { s = 1, ms = 1e-3, min = 60, h = 3600, d = 86400 },
  angle = { rad = 1, deg = math.pi / 180, ["°"] = math.pi / 180, turn = 2 * math.pi },
  data = { B = 1, kB = 1e3, MB = 1e6, GB = 1e9, KiB = 1024, MiB = 1024 ^ 2, GiB = 1024 ^ 3, bit = 1 / 8 },
  electric_current = { A = 1, mA = 1e-3, ["µA"] = 1e-6, uA = 1e-6 },
  voltage = { V = 1, mV = 1e-3, kV = 1e3 },
}

local units = {}
for quantity, members in pairs(quantities) do
  for name, unit in pairs(members) do
    if type(unit) == "number" then unit = { unit, 0 } end
    units[name] = { quantity = quantity, factor = unit[1], offset = unit[2] }
  end
end

local function unit(name)
  return units[name] or error("there is no unit '" .. text.truncate(name, 20) .. "'", 0)
end

local function convert(value, from, to)
  local source, target = unit(from), unit(to)
  if source.quantity ~= target.quantity then
    error("'" .. from .. "' is a unit of " .. source.quantity .. ", '" .. to .. "' one of " .. target.quantity, 0)
  end
  return (value * source.factor + source.offset - target.offset) / target.factor
end

plugin { functions = { convert = convert } }
