-- https://docs.mydevices.com/docs/lorawan/cayenne-lpp, and the further types of https://github.com/ElectronicCats/CayenneLPP
--
-- A channel, a type, a value, big-endian, again and again. The field is the type's name and the channel: temperature_3.

local function number(form, scale)
  return { size = string.packsize(form), read = function(bytes, at) return string.unpack(form, bytes, at) / scale end }
end

local function whole(form)
  return { size = string.packsize(form), read = function(bytes, at) return (string.unpack(form, bytes, at)) end }
end

local function axes(scale)
  return {
    size = 6,
    read = function(bytes, at)
      local x, y, z = string.unpack(">i2i2i2", bytes, at)
      return { x = x / scale, y = y / scale, z = z / scale }
    end,
  }
end

local position = {
  size = 9,
  read = function(bytes, at)
    local latitude, longitude, altitude = string.unpack(">i3i3i3", bytes, at)
    return { latitude = latitude / 10000, longitude = longitude / 10000, altitude = altitude / 100 }
  end,
}

local colour = {
  size = 3,
  read = function(bytes, at)
    local red, green, blue = string.unpack("BBB", bytes, at)
    return { red = red, green = green, blue = blue }
  end,
}

local types = {
  [0] = { "digital_in", whole("B") },
  [1] = { "digital_out", whole("B") },
  [2] = { "analog_in", number(">i2", 100) },
  [3] = { "analog_out", number(">i2", 100) },
  [100] = { "generic", whole(">I4") },
  [101] = { "luminosity", whole(">I2") },
  [102] = { "presence", whole("B") },
  [103] = { "temperature", number(">i2", 10) },
  [104] = { "relative_humidity", number("B", 2) },
  [113] = { "accelerometer", axes(1000) },
  [115] = { "barometric_pressure", number(">I2", 10) },
  [116] = { "voltage", number(">I2", 100) },
  [117] = { "current", number(">I2", 1000) },
  [118] = { "frequency", whole(">I4") },
  [120] = { "percentage", whole("B") },
  [121] = { "altitude", whole(">i2") },
  [125] = { "concentration", whole(">I2") },
  [128] = { "power", whole(">I2") },
  [130] = { "distance", number(">I4", 1000) },
  [131] = { "energy", number(">I4", 1000) },
  [132] = { "direction", whole(">I2") },
  [133] = { "unix_time", whole(">I4") },
  [134] = { "gyrometer", axes(100) },
  [135] = { "colour", colour },
  [136] = { "gps", position },
  [142] = { "switch", whole("B") },
}

local function from_hex(text)
  local digits = string.gsub(text, "%s", "")
  if #digits % 2 == 1 or string.find(digits, "%X") then error("the payload must be hexadecimal", 0) end
  return (string.gsub(digits, "%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function from_base64(text)
  local bytes = base64.decode(text)
  if not bytes then error("the payload must be base64", 0) end
  return bytes
end

local decodings = { raw = function(bytes) return bytes end, hex = from_hex, base64 = from_base64 }
local bytes_of = decodings[config.encoding]

local function decode(_, message)
  local bytes = bytes_of(message)
  if #bytes == 0 then error("the payload is empty", 0) end
  local fields, at = {}, 1
  while at <= #bytes do
    local channel, number = string.byte(bytes, at, at + 1)
    if not number then error("the payload ends after the channel " .. channel, 0) end
    local kind = types[number]
    if not kind then error("channel " .. channel .. " has the unknown type " .. number, 0) end
    if at + 1 + kind[2].size > #bytes then error("the payload ends within " .. kind[1] .. "_" .. channel, 0) end
    fields[kind[1] .. "_" .. channel] = kind[2].read(bytes, at + 2)
    at = at + 2 + kind[2].size
  end
  return fields
end

plugin { decoders = { ["cayenne-lpp"] = decode } }
