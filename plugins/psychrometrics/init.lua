-- Where each formula is from says plugin.yaml.

local function check(temperature, humidity)
  if humidity and (humidity < 0 or humidity > 100) then error("the relative humidity must be from 0 to 100, not " .. humidity, 0) end
  -- Below it the formulas mean nothing, and Magnus' divides by zero at -243.12.
  if temperature < -100 or temperature > 200 then error("the temperature must be from -100 to 200 °C, not " .. temperature, 0) end
end

-- WMO-No. 8, annex 4.B: over water, within 0.6 % from -45 to 60 °C.
local function saturation(temperature)
  return 6.112 * math.exp(17.62 * temperature / (243.12 + temperature))
end

local function saturation_vapor_pressure(temperature)
  check(temperature)
  return saturation(temperature)
end

local function vapor_pressure(temperature, humidity)
  check(temperature, humidity)
  return saturation(temperature) * humidity / 100
end

local function dew_point(temperature, humidity)
  check(temperature, humidity)
  if humidity == 0 then error("dry air has no dew point", 0) end
  local gamma = math.log(humidity / 100) + 17.62 * temperature / (243.12 + temperature)
  return 243.12 * gamma / (17.62 - gamma)
end

local function wet_bulb(temperature, humidity)
  check(temperature, humidity)
  return temperature * math.atan(0.151977 * (humidity + 8.313659) ^ 0.5) + math.atan(temperature + humidity) - math.atan(humidity - 1.676331)
    + 0.00391838 * humidity ^ 1.5 * math.atan(0.023101 * humidity) - 4.686035
end

-- In °F, as it was published.
local function rothfusz(t, r)
  local index = -42.379 + 2.04901523 * t + 10.14333127 * r - 0.22475541 * t * r - 0.00683783 * t * t - 0.05481717 * r * r
    + 0.00122874 * t * t * r + 0.00085282 * t * r * r - 0.00000199 * t * t * r * r
  if r < 13 and t >= 80 and t <= 112 then
    return index - (13 - r) / 4 * math.sqrt((17 - math.abs(t - 95)) / 17)
  elseif r > 85 and t >= 80 and t <= 87 then
    return index + (r - 85) / 10 * (87 - t) / 5
  end
  return index
end

local function heat_index(temperature, humidity)
  check(temperature, humidity)
  local t = temperature * 9 / 5 + 32
  local simple = 0.5 * (t + 61 + (t - 68) * 1.2 + humidity * 0.094)
  local index = (simple + t) / 2
  if index >= 80 then index = rothfusz(t, humidity) else index = simple end
  return (index - 32) * 5 / 9
end

local function mixing_ratio(temperature, humidity, pressure)
  local vapor = vapor_pressure(temperature, humidity)
  if pressure <= vapor then error("the pressure must be above the vapour pressure, not " .. pressure .. " hPa", 0) end
  -- 0.622: the ratio of the molar masses of water and dry air.
  return 622 * vapor / (pressure - vapor)
end

plugin {
  functions = {
    saturation_vapor_pressure = saturation_vapor_pressure,
    vapor_pressure = vapor_pressure,
    vapor_pressure_deficit = function(temperature, humidity)
      check(temperature, humidity)
      return saturation(temperature) * (1 - humidity / 100)
    end,
    dew_point = dew_point,
    relative_humidity = function(temperature, dew)
      check(temperature)
      check(dew)
      return 100 * saturation(dew) / saturation(temperature)
    end,
    absolute_humidity = function(temperature, humidity)
      -- hPa are 100 Pa, kg are 1000 g.
      return 100 * 1000 * vapor_pressure(temperature, humidity) / (461.5 * (temperature + 273.15))
    end,
    mixing_ratio = mixing_ratio,
    wet_bulb = wet_bulb,
    heat_index = heat_index,
    humidex = function(temperature, dew)
      check(temperature)
      check(dew)
      return temperature + 0.5555 * (6.11 * math.exp(5417.7530 * (1 / 273.16 - 1 / (273.15 + dew))) - 10)
    end,
  },
}
