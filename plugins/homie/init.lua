-- https://homieiot.github.io/specification/
--
-- A property is the field `value` and the field NODE_PROPERTY: homie/super-car/engine/temperature is engine_temperature, so that a rule may
-- look at one property a filter or at several of a device. Its `$datatype` (before version 5) is remembered; without one, what looks like
-- a number or a bool is one. `$state` is the field state, with `online`. What is sent to be set is no reading.

local online = { ready = true, alert = true, sleeping = true, init = false, disconnected = false, lost = false }

local function number_or_text(text)
  -- '0x10', 'nan' and ' 1' are Lua's or nobody's numbers, not Homie's.
  if string.find(text, "^[+-]?%d+%.?%d*$") or string.find(text, "^[+-]?%d*%.?%d+[eE][+-]?%d+$") then return tonumber(text) or text end
  return text
end

local function typed(text, datatype)
  if datatype == "integer" or datatype == "float" then return number_or_text(text) end
  if datatype == "boolean" or not datatype then
    if text == "true" then return true end
    if text == "false" then return false end
    if not datatype then return number_or_text(text) end
  end
  return text
end

local function attribute(name, text)
  if name == "$state" then return { state = text, online = online[text] } end
  if name == "$description" then return nil end
  return { [names.identifier(string.sub(name, 2))] = number_or_text(text) }
end

local function is_version(level) return string.find(level, "^%d+$") ~= nil end

local function decode(topic, bytes)
  if not utf8.len(bytes) then error("the payload is no UTF-8", 0) end
  local levels = topics.levels(topic)
  -- homie/DEVICE/…, homie/5/DEVICE/… since version 5.
  local device = is_version(levels[2] or "") and 3 or 2
  if levels[device] == "$broadcast" then return { value = bytes } end
  local rest = #levels - device
  if levels[#levels] == "set" and rest == 3 or levels[#levels] == "$target" then return nil end
  if rest < 1 then return nil end
  local first, second = levels[device + 1], levels[device + 2]
  if rest == 1 then
    if string.sub(first, 1, 1) == "$" then return attribute(first, bytes) end
    return nil
  end
  if string.sub(first, 1, 1) == "$" then
    -- $stats/uptime, $fw/name, $log/warn, $alert/battery
    return { [names.identifier(string.sub(first, 2) .. "_" .. second)] = number_or_text(bytes) }
  end
  if rest == 2 then
    if string.sub(second, 1, 1) == "$" then return nil end
    local value = typed(bytes, memory.get("datatypes", topic))
    return { value = value, [names.identifier(first .. "_" .. second)] = value }
  end
  if rest == 3 and levels[device + 3] == "$datatype" then
    memory.set("datatypes", string.sub(topic, 1, #topic - #"/$datatype"), bytes)
  end
  return nil
end

plugin { decoders = { homie = decode } }
