-- https://tasmota.github.io/docs/MQTT/
--
-- Members keep their names, but for characters that a rule cannot write ('AM2301-14' is AM2301_14). POWER, POWER1…, Switch1… are bools.
-- A plain payload is the field that its topic ends with. Of a Zigbee bridge's ZbReceived the device's members are the fields, and its
-- key is `zigbee_device`. Commands (cmnd) are no readings.

local switches = { ON = true, OFF = false, on = true, off = false, ["true"] = true, ["false"] = false, ["1"] = true, ["0"] = false }

local function is_switch(name)
  return string.find(name, "^POWER%d*$") ~= nil or string.find(name, "^Switch%d*$") ~= nil
end

local function switch(value)
  local state = switches[value]
  if state == nil then return value end
  return state
end

local to_celsius = { F = function(value) return (value - 32) * 5 / 9 end, K = function(value) return value - 273.15 end }
-- NIST SP 811, B.8: conventional millimetre and inch of mercury.
local to_hectopascal = { mmHg = 1.333224, inHg = 33.86389, kPa = 10, Pa = 0.01 }
local temperatures = { Temperature = true, DewPoint = true, Heat_Index = true, HeatIndex = true }
local pressures = { Pressure = true, SeaPressure = true, QNH = true }

local function rounded(value) return math.floor(value * 1000 + 0.5) / 1000 end

-- Walks all members once: names, switches, units.
local function walk(value, celsius, hectopascal)
  if type(value) ~= "table" then return value end
  local result = {}
  for name, member in pairs(value) do
    if type(name) == "string" then
      local plain = names.identifier(name)
      if type(member) == "number" then
        if celsius and temperatures[plain] then
          member = rounded(celsius(member))
        elseif hectopascal and pressures[plain] then
          member = rounded(member * hectopascal)
        end
      elseif type(member) == "string" and is_switch(plain) then
        member = switch(member)
      end
      name = plain
    end
    result[name] = walk(member, celsius, hectopascal)
  end
  return result
end

-- The device of ZbReceived: its members beside what else there is.
local function zigbee(fields)
  local received = fields.ZbReceived
  if type(received) ~= "table" then return fields end
  local key, members = next(received)
  if type(members) ~= "table" or next(received, key) ~= nil then return fields end
  members.zigbee_device = members.Device or key
  if members.Device and members.Device ~= key then members.zigbee_name = key end
  return members
end

local function prefix(levels)
  for _, level in ipairs(levels) do
    if level == "tele" or level == "stat" or level == "cmnd" then return level end
  end
end

local function decode(topic, bytes)
  local levels = topics.levels(topic)
  if prefix(levels) == "cmnd" then return nil end
  local last = names.identifier(levels[#levels])
  local value = payload.value(bytes)
  if type(value) ~= "table" or value[1] ~= nil then
    if last == "LWT" then return { online = value == "Online" } end
    if is_switch(last) then value = switch(value) end
    return { [last] = value }
  end
  local celsius, hectopascal
  if config.convert_units then
    celsius = to_celsius[value.TempUnit]
    hectopascal = to_hectopascal[value.PressureUnit]
  end
  local time = timestamp.parse(value.Time, config.utc_offset)
  local device = zigbee(value)
  if device ~= value and config.convert_units then hectopascal = hectopascal or to_hectopascal[device.PressureUnit] end
  local fields = walk(device, celsius, hectopascal)
  if celsius and fields.TempUnit then fields.TempUnit = "C" end
  if hectopascal and fields.PressureUnit then fields.PressureUnit = "hPa" end
  return fields, time
end

plugin { decoders = { tasmota = decode } }
