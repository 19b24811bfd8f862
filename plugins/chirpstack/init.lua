-- https://www.chirpstack.io/docs/chirpstack/integrations/events.html
--
-- The members of `object` are the fields; the network's knowledge is `lorawan`: device_name, dev_eui, profile, port, counter, data_rate, rssi
-- and snr of the gateway that heard best, gateways, and `tags`. Status, join, log and location events have fields of their own.

local function best(gateways)
  local found
  for _, gateway in ipairs(gateways) do
    if type(gateway) == "table" and type(gateway.rssi) == "number" and (not found or gateway.rssi > found.rssi) then found = gateway end
  end
  return found
end

-- Version 4 says it in `deviceInfo`, version 3 beside everything else.
local function about(event)
  local info = type(event.deviceInfo) == "table" and event.deviceInfo or event
  local tags = info.tags
  if type(tags) ~= "table" or next(tags) == nil then tags = nil end
  return {
    device_name = info.deviceName, dev_eui = info.devEui or info.devEUI, profile = info.deviceProfileName,
    tags = tags and names.identifiers(tags),
  }
end

-- Version 3 says only when its gateways received it.
local function time_of(event)
  local time = timestamp.parse(event.time)
  if time or type(event.rxInfo) ~= "table" then return time end
  local first = event.rxInfo[1]
  return type(first) == "table" and timestamp.parse(first.time) or nil
end

local function uplink(event)
  local fields = {}
  if type(event.object) == "table" then fields = names.identifiers(event.object) end
  local lorawan = about(event)
  lorawan.port = event.fPort
  lorawan.counter = event.fCnt
  lorawan.data_rate = event.dr
  lorawan.payload = event.data
  if type(event.rxInfo) == "table" then
    local gateway = best(event.rxInfo)
    lorawan.gateways = #event.rxInfo
    if gateway then
      lorawan.rssi = gateway.rssi
      lorawan.snr = gateway.snr or gateway.loRaSNR
    end
  end
  fields.lorawan = lorawan
  return fields
end

local events = {
  up = uplink,
  join = function(event) return { event = "join", lorawan = about(event) } end,
  status = function(event)
    return {
      battery_level = not event.batteryLevelUnavailable and not event.externalPowerSource and event.batteryLevel or nil,
      margin = event.margin, external_power = event.externalPowerSource, lorawan = about(event),
    }
  end,
  log = function(event) return { level = event.level, code = event.code, description = event.description, lorawan = about(event) } end,
  error = function(event) return { level = "ERROR", code = event.type, description = event.error, lorawan = about(event) } end,
  location = function(event) return { location = event.location, lorawan = about(event) } end,
}

local function decode(topic, bytes)
  local kind = string.match(topic, "/event/(%a+)$")
  local read = events[kind]
  if not read then return nil end
  local event = payload.object(bytes)
  return read(event), time_of(event)
end

plugin { decoders = { chirpstack = decode } }
